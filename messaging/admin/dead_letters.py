"""Dead letters: what went wrong and how often, each record whole, and the actions retry, edit and skip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from messaging.admin.actions import MOST_TARGETS, ReasonedAction, ReasonedActionsAdmin, Target
from messaging.admin.circuit_breaker import pauses_by_circuit_breaker
from messaging.admin.edit_form import EditForm
from messaging.admin.filters import FingerprintFilter, HandlerFilter, OpenFilter, TopicFilter
from messaging.admin.parked_queue import queue_table
from messaging.admin.rendering import as_text, block, nothing, pretty, shortened, table
from messaging.admin.results import show_results
from messaging.kafka.records import RawRecord, unpacked
from messaging.models import DeadLetterRow
from messaging.operations import actions
from messaging.operations.selectors import dead_letters, groups_of

EDIT = "messaging.edit_deadletter"

RETRY = ReasonedAction(
    "retry",
    _("Retry"),
    "messaging.retry_deadletter",
    _(
        "The handlers handle the events again, with the code that is deployed now. Attempts are counted from zero, and "
        "events of one key keep their order."
    ),
    actions.retry,
)
SKIP = ReasonedAction(
    "skip",
    _("Skip"),
    "messaging.skip_deadletter",
    _(
        "These handlers never handle the events. The events that wait behind them are handled next. You cannot undo "
        "this: make sure that nothing depends on the events, or that their publisher sends them again."
    ),
    actions.skip,
)


@admin.register(DeadLetterRow)
class DeadLetterAdmin(ReasonedActionsAdmin):
    """The list with its groups, the page of a letter, and the page to edit one."""

    reasoned_actions = (RETRY, SKIP)
    empty = _(
        "There are no dead letters. You need to do nothing. Events that wait for their next attempt are under parked "
        "keys. To see dead letters that were retried or skipped, use the filter."
    )
    for_more = _("For more, use manage.py replay_dead_letters or skip_dead_letters.")
    list_display = ("event_id", "key", "what", "handler", "at", "state")
    list_filter = (OpenFilter, FingerprintFilter, "reason", HandlerFilter, TopicFilter)
    search_fields = ("=event_id", "=key")
    search_help_text = _("An event id or a key")
    ordering = ("topic", "partition", "offset", "handler")
    fields = (
        ("state", "reason", "attempts", "at"),
        ("event_id", "handler", "type"),
        ("topic", "partition", "offset"),
        ("key", "raw_key"),
        "fingerprint",
        "shown_error",
        "value",
        "headers",
        "edited_value",
        "queue",
        "shown_traceback",
    )
    readonly_fields = fields[4:] + (
        *("state", "reason", "attempts", "at", "event_id", "handler", "type"),
        *("topic", "partition", "offset", "key", "raw_key"),
    )

    def targets_of(self, rows: Iterable[DeadLetterRow]) -> list[Target]:
        return [row.target for row in rows]

    def describe(self, action: ReasonedAction, targets: Sequence[Target]) -> list[Sequence[Any]]:
        rows = DeadLetterRow.objects.filter(event_id__in=[event_id for event_id, _ in targets])
        letters: dict[Target, str] = {
            row.target: f"{row.reason}: {shortened(row.error)}" for row in rows.defer("raw", "edited")
        }
        return [(*target, letters.get(target, "")) for target in targets]

    def is_open(self, row: DeadLetterRow) -> bool:
        return row.resolved_at is None

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetterRow]:
        found: QuerySet[DeadLetterRow] = super().get_queryset(request).defer("raw", "edited", "traceback")
        return found

    def get_urls(self) -> list[Any]:
        wrap, name = self.admin_site.admin_view, f"messaging_{self.opts.model_name}"
        return [
            path("group/", self.posted(self.group_view), name=f"{name}_group"),
            path("<path:object_id>/edit/", wrap(self.edit_view), name=f"{name}_edit"),
            *super().get_urls(),
        ]

    def context_of_list(self, request: HttpRequest) -> dict[str, Any]:
        group_url = reverse(f"{self.admin_site.name}:messaging_deadletterrow_group")
        more = {"groups": groups_of(dead_letters())[:20], "group_url": group_url}
        return super().context_of_list(request) | pauses_by_circuit_breaker() | more

    def context_of_row(self, request: HttpRequest, row: DeadLetterRow) -> dict[str, Any]:
        context = super().context_of_row(request, row)
        if self.is_open(row) and request.user.has_perm(EDIT):
            context["edit_url"] = reverse(f"{self.admin_site.name}:messaging_deadletterrow_edit", args=[row.pk])
        return context

    def group_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a reason to act on every open letter of a group, as it is now."""
        action, given = self.chosen_action(request), request.POST
        letters = dead_letters(fingerprint=given.get("fingerprint", ""), handler=given.get("handler", ""))
        letters = letters.filter(reason=given.get("reason_code", ""))
        targets: list[Target] = list(letters.values_list("event_id", "handler")[:MOST_TARGETS])
        return self.confirmation(request, action, targets, self.back_of(request))

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the record to be edited; try it again when it was, with a reason."""
        if not (request.user.has_perm(EDIT) and self.has_view_permission(request)):
            raise PermissionDenied
        letter = self.get_object(request, object_id)
        if letter is None:
            raise Http404
        record = unpacked(letter.edited or letter.raw)
        form = EditForm(record, request.POST or None)
        if request.method == "POST" and form.is_valid():
            result = form.retry(letter.target, actor=request.user.get_username())
            if result.outcome not in ("refused", "failed"):
                show_results(request, [result])
                return HttpResponseRedirect(
                    reverse(f"{self.admin_site.name}:messaging_deadletterrow_change", args=[letter.pk])
                )
            form.add_error("value", result.detail)
        page = {
            **self.admin_site.each_context(request),
            "title": _("Edit and retry"),
            "form": form,
            "letter": letter,
            "original": as_text(unpacked(letter.raw).value),
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/messaging/edit.html", page)

    @admin.display(description=_("what went wrong"), ordering="fingerprint")
    def what(self, row: DeadLetterRow) -> str:
        """Return the reason and the beginning of the error."""
        return shortened(f"{row.reason}: {row.error}")

    @admin.display(description=_("state"), ordering="resolved_at")
    def state(self, row: DeadLetterRow) -> str:
        """Return whether it waits for an operator, or what one did."""
        if row.resolved_at is None:
            return str(_("waits for an operator"))
        return f"{row.get_resolution_display()}, {row.resolved_at:%Y-%m-%d %H:%M:%S} UTC"

    @admin.display(description=_("error"))
    def shown_error(self, row: DeadLetterRow) -> str:
        return block(row.error) if row.error else nothing()

    @admin.display(description=_("traceback"))
    def shown_traceback(self, row: DeadLetterRow) -> str:
        return block(row.traceback) if row.traceback else nothing()

    @admin.display(description=_("original value"))
    def value(self, row: DeadLetterRow) -> str:
        data = unpacked(row.raw).value
        return str(_("none (a tombstone)")) if data is None else pretty(data)

    @admin.display(description=_("original headers"))
    def headers(self, row: DeadLetterRow) -> str:
        return _headers(unpacked(row.raw))

    @admin.display(description=_("edited record"))
    def edited_value(self, row: DeadLetterRow) -> str:
        if row.edited is None:
            return nothing()
        record = unpacked(row.edited)
        return format_html("{}{}", pretty(record.value), _headers(record))

    @admin.display(description=_("original key"))
    def raw_key(self, row: DeadLetterRow) -> str:
        return repr(unpacked(row.raw).key)

    @admin.display(description=_("queue of its key"))
    def queue(self, row: DeadLetterRow) -> str:
        if not row.key:
            return str(_("its key cannot be read: nothing waits behind it"))
        return queue_table(row.topic, row.key, mark=row.target)


def _headers(record: RawRecord) -> str:
    pairs = [(name, (value or b"").decode(errors="backslashreplace")) for name, value in record.headers]
    return table((_("name"), _("value")), pairs)
