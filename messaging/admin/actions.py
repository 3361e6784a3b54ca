"""Actions of operators: each asks for a reason on a page that freezes its targets, runs once it has one, and reports.

The function that an action runs writes the audit log and has its effect once, however often it is called: a form that
is sent twice runs it twice for the same targets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from messaging.admin.read_only import ReadOnlyAdmin
from messaging.admin.results import show_results
from messaging.audit_log import ActionResult

#: Targets of one confirmation.
MOST_TARGETS = 5000
#: Targets that the confirmation lists; the form has all of them.
LISTED = 50

#: What an action is about, as the confirmation's form holds it: for an event, its id and the handler.
Target = tuple[str, ...]


@dataclass(frozen=True)
class ReasonedAction:
    """What an operator may do: its name in forms, its label, who may, what it means, and the function that does it.

    `run` is called as run(targets, actor=…, reason=…). It writes the audit log.
    """

    name: str
    label: Any
    permission: str
    explanation: Any
    run: Callable[..., Sequence[ActionResult]]


class ReasonedActionsAdmin(ReadOnlyAdmin):
    """A read-only page whose rows can be acted on, one by one and many at once."""

    reasoned_actions: tuple[ReasonedAction, ...] = ()
    #: What an empty list says.
    empty: Any = ""
    #: What an operator does who has selected more than MOST_TARGETS.
    for_more: Any = gettext_lazy("Repeat the action for the rest.")
    #: The columns of the confirmation, and how many of the first of them are the target.
    columns: tuple[Any, ...] = (gettext_lazy("Event"), gettext_lazy("Handler or topic"), gettext_lazy("Details"))
    target_columns = 2

    def targets_of(self, rows: Iterable[Any]) -> list[Target]:
        """Return what an action acts on for these rows."""
        raise NotImplementedError

    def describe(self, action: ReasonedAction, targets: Sequence[Target]) -> list[Sequence[Any]]:
        """Return a row of the confirmation for each target."""
        return [(*target, "") for target in targets]

    def is_open(self, row: Any) -> bool:
        """Whether there is anything left to do to the row."""
        return True

    def allowed(self, request: HttpRequest) -> list[ReasonedAction]:
        """Return the actions that the user may use."""
        return [action for action in self.reasoned_actions if request.user.has_perm(action.permission)]

    def get_urls(self) -> list[Any]:
        return [path("act/", self.posted(self.act_view), name=f"{self._name}_act"), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer the actions for a selection."""
        return {action.name: (_for_a_selection(action), action.name, action.label) for action in self.allowed(request)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST" and not self.allowed(request):
            raise PermissionDenied
        return super().changelist_view(request, self.context_of_list(request) | (extra_context or {}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id) if object_id else None
        more = {} if row is None else self.context_of_row(request, row)
        return super().changeform_view(request, object_id, form_url, more | (extra_context or {}))

    def context_of_list(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the list shows beside its rows."""
        return {"reasoned_actions": self.allowed(request), "act_url": self.act_url(), "empty": self.empty}

    def context_of_row(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the page of a row shows beside its fields: a button for each action that is left to do."""
        actions = self.allowed(request) if self.is_open(row) else []
        targets = json.dumps(self.targets_of([row])) if actions else "[]"
        return {"reasoned_actions": actions, "targets": targets, "act_url": self.act_url()}

    def act_url(self) -> str:
        """Return the address to which an action is posted."""
        return reverse(f"{self.admin_site.name}:{self._name}_act")

    def posted(self, view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
        """Return a view for forms of users who are signed in.

        An expired session leads through the login to the page before: nothing was done, and a login can't send the form
        again.
        """
        signed_in = self.admin_site.admin_view(require_POST(view))

        def posted_view(request: HttpRequest) -> HttpResponse:
            if request.method == "POST" and not self.admin_site.has_permission(request):
                return redirect_to_login(self.back_of(request), reverse(f"{self.admin_site.name}:login"))
            response: HttpResponse = signed_in(request)
            return response

        return posted_view

    def act_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a reason, or run the action when the form has one. 403 without the action's permission."""
        action, targets = self.chosen_action(request), self._posted_targets(request)
        return self.ask_or_run(request, action, targets, self.back_of(request))

    def chosen_action(self, request: HttpRequest) -> ReasonedAction:
        """Return the action that was posted; PermissionDenied when the user may not use it."""
        name = request.POST.get("verb", "")
        action = next((each for each in self.allowed(request) if each.name == name), None)
        if action is None or not self.has_view_permission(request):
            raise PermissionDenied
        return action

    def ask_or_run(
        self, request: HttpRequest, action: ReasonedAction, targets: list[Target], back: str
    ) -> HttpResponse:
        """Ask for a reason; run the action, and show its results, once a form with a reason was confirmed."""
        reason = request.POST.get("reason", "").replace("\x00", "").strip()
        if "confirmed" not in request.POST or not reason:
            return self.confirmation(request, action, targets, back)
        show_results(request, action.run(targets, actor=request.user.get_username(), reason=reason))
        return HttpResponseRedirect(back)

    def confirmation(
        self, request: HttpRequest, action: ReasonedAction, targets: list[Target], back: str
    ) -> TemplateResponse:
        """Return the page that shows the frozen targets and asks for a reason."""
        page = {
            **self.admin_site.each_context(request),
            "title": action.label,
            "action": action,
            "count": len(targets),
            "columns": self.columns,
            "rows": self.describe(action, targets[:LISTED]),
            "more": max(0, len(targets) - LISTED),
            "targets": json.dumps(targets),
            "unreasoned": "confirmed" in request.POST,
            "act_url": self.act_url(),
            "back": back,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/messaging/confirm.html", page)

    @property
    def _name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def _posted_targets(self, request: HttpRequest) -> list[Target]:
        """Return the targets that the page before had frozen; PermissionDenied for anything else."""
        try:
            return [self.posted_target(*each) for each in json.loads(request.POST.get("targets", ""))]
        except (ValueError, TypeError) as error:
            raise PermissionDenied from error

    def posted_target(self, *parts: Any) -> Target:
        """Return a target as the form had it; ValueError when it can't be one."""
        if len(parts) != self.target_columns:
            raise ValueError(f"a target has {self.target_columns} parts: {parts}")
        return tuple(str(part) for part in parts)

    def back_of(self, request: HttpRequest) -> str:
        """Return where the operator came from; the list when that is no address of this site."""
        address = request.POST.get("back", "")
        if url_has_allowed_host_and_scheme(address, request.get_host(), require_https=request.is_secure()):
            return address
        return reverse(f"{self.admin_site.name}:{self._name}_changelist")


def _for_a_selection(action: ReasonedAction) -> Callable[..., HttpResponse]:
    """Return the action as Django's list calls it, for the rows that were selected."""

    def chosen(page: ReasonedActionsAdmin, request: HttpRequest, rows: Any) -> HttpResponse:
        if "confirmed" in request.POST:  # what was confirmed stays, whatever the filters of the list select by now
            rows = page.get_queryset(request).filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        targets = page.targets_of(rows[: MOST_TARGETS + 1])
        if len(targets) > MOST_TARGETS:
            text = _("This page acts on the first %(count)s only.") % {"count": MOST_TARGETS}
            page.message_user(request, f"{text} {page.for_more}", messages.WARNING)
        return page.ask_or_run(request, action, targets[:MOST_TARGETS], request.get_full_path())

    return chosen
