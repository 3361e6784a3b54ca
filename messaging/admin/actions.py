"""Verbs of operators: each asks for a reason on a page that freezes what it is about, then says what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from messaging.admin.read_only import Ledger
from messaging.audit_log import ActionResult, Target

#: Events of one confirmation; what is more takes the command.
MOST_TARGETS = 5000
#: Targets that the confirmation lists, and results that the page afterwards does; the ledger has all of them.
LISTED = 50
TOLD = 10
LEVELS = {"done": messages.SUCCESS, "unchanged": messages.INFO}


@dataclass(frozen=True)
class Verb:
    """What an operator may do: its name in forms, its label, who may, what it means, and the function that does it."""

    name: str
    label: Any
    permission: str
    explanation: Any
    run: Callable[..., list[ActionResult]]


class Acting(Ledger):
    """A page whose rows can be acted on, one by one and many at once."""

    verbs: tuple[Verb, ...] = ()
    #: What an empty list says.
    empty: Any = ""

    def targets_of(self, rows: Iterable[Any]) -> list[Target]:
        """Return what a verb acts on for these rows."""
        raise NotImplementedError

    def describe(self, targets: Sequence[Target]) -> list[Sequence[Any]]:
        """Return a line of the confirmation for each target: event, handler, and what it is about."""
        return [(event_id, handler, "") for event_id, handler in targets]

    def allowed(self, request: HttpRequest) -> list[Verb]:
        """Return the verbs that the user may use."""
        return [verb for verb in self.verbs if request.user.has_perm(verb.permission)]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.act_view))
        return [path("act/", view, name=f"messaging_{self.opts.model_name}_act"), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer the verbs for a selection."""
        return {verb.name: (_starts(verb), verb.name, verb.label) for verb in self.allowed(request)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST" and not self.allowed(request):
            raise PermissionDenied
        return super().changelist_view(request, self.context_of(request) | (extra_context or {}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        verbs = self.allowed(request) if found is not None and self.is_open(found) else []
        targets = json.dumps(self.targets_of([found])) if verbs else "[]"
        more = {"verbs": verbs, "targets": targets, "act_url": self.act_url()}
        return super().changeform_view(request, object_id, form_url, more | (extra_context or {}))

    def is_open(self, row: Any) -> bool:
        """Whether there is anything left to do to the row."""
        return True

    def context_of(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the list shows beside its rows."""
        return {"verbs": self.allowed(request), "act_url": self.act_url(), "empty": self.empty}

    def act_url(self) -> str:
        """Return the address to which a verb is posted."""
        return reverse(f"{self.admin_site.name}:messaging_{self.opts.model_name}_act")

    def act_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a reason, or do it when one was given. 403 without the verb's permission."""
        name = request.POST.get("verb", "")
        verb = next((each for each in self.allowed(request) if each.name == name), None)
        if verb is None or not self.has_view_permission(request):
            raise PermissionDenied
        targets, reason = posted_targets(request), request.POST.get("reason", "").replace("\x00", "").strip()
        if "confirmed" not in request.POST or not reason:
            return self.confirmation(request, verb, targets, request.POST.get("back", ""))
        results = verb.run(targets, actor=request.user.get_username(), reason=reason)
        tell(request, results)
        return HttpResponseRedirect(self._back(request, request.POST.get("back", "")))

    def confirmation(self, request: HttpRequest, verb: Verb, targets: list[Target], back: str) -> TemplateResponse:
        """Return the page that shows the frozen targets and asks for a reason."""
        page = {
            **self.admin_site.each_context(request),
            "title": verb.label,
            "verb": verb,
            "count": len(targets),
            "rows": self.describe(targets[:LISTED]),
            "more": max(0, len(targets) - LISTED),
            "targets": json.dumps(targets),
            "unreasoned": "confirmed" in request.POST,
            "act_url": self.act_url(),
            "back": self._back(request, back),
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/messaging/confirm.html", page)

    def _back(self, request: HttpRequest, address: str) -> str:
        """Return where the operator came from; the list when that is no address of ours."""
        if url_has_allowed_host_and_scheme(address, request.get_host(), require_https=request.is_secure()):
            return address
        return reverse(f"{self.admin_site.name}:messaging_{self.opts.model_name}_changelist")


def _starts(verb: Verb) -> Callable[..., HttpResponse]:
    """Return the admin action that leads to the verb's confirmation."""

    def action(page: Acting, request: HttpRequest, rows: Any) -> HttpResponse:
        targets = page.targets_of(rows[: MOST_TARGETS + 1])
        if len(targets) > MOST_TARGETS:
            first = _("Only the first %(count)s are taken at once; the command takes any number.")
            page.message_user(request, first % {"count": MOST_TARGETS}, messages.WARNING)
        return page.confirmation(request, verb, targets[:MOST_TARGETS], request.get_full_path())

    return action


def posted_targets(request: HttpRequest) -> list[Target]:
    """Return the targets that the page before had frozen; PermissionDenied for anything else."""
    try:
        return [(str(event_id), str(handler)) for event_id, handler in json.loads(request.POST.get("targets", ""))]
    except (ValueError, TypeError) as error:
        raise PermissionDenied from error


def tell(request: HttpRequest, results: Sequence[ActionResult]) -> None:
    """Tell the operator what became of each; of many, the first that were not done."""
    worst_first = sorted(results, key=lambda result: result.outcome in LEVELS)
    for result in worst_first[:TOLD]:
        name = " ".join(part for part in (result.event_id, result.handler) if part)
        text = f"{result.outcome}: {name}" + (f" ({result.detail})" if result.detail else "")
        messages.add_message(request, LEVELS.get(result.outcome, messages.WARNING), text)
    if len(results) > TOLD:
        done = sum(result.outcome == "done" for result in results)
        text = ngettext("%(done)s of %(all)s was done", "%(done)s of %(all)s were done", done)
        ledger = _("the ledger of operator actions has the result of each")
        messages.info(request, f"{text % {'done': done, 'all': len(results)}}; {ledger}.")
