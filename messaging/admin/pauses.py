"""Pauses: what is paused, since when and why. Pausing and resuming take a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from messaging.admin.actions import ReasonedAction, ReasonedActionsAdmin, Target
from messaging.admin.circuit_breaker import is_circuit_breaker, name_of, pauses_by_circuit_breaker
from messaging.admin.results import show_results
from messaging.audit_log import ActionResult
from messaging.models import Pause
from messaging.operations import actions
from messaging.parking import pauses

MAY = "messaging.pause_handler"
SHOWN = ("name", "why", "paused_by", "at")


def resume_all(targets: Sequence[Target], *, actor: str, reason: str) -> list[ActionResult]:
    """Resume what is named in the second place of each target."""
    return [actions.resume(name, actor=actor, reason=reason) for _, name in targets]


RESUME = ReasonedAction(
    "resume",
    _("Resume"),
    MAY,
    _(
        "Processing resumes, in order, where it stopped. If the cause is not fixed, the circuit breaker pauses the "
        "handler again."
    ),
    resume_all,
)


class PauseForm(forms.ModelForm):  # type: ignore[type-arg]
    """What to pause, of what this service has, and why."""

    name = forms.ChoiceField(label=_("Handler or topic"))
    reason = forms.CharField(label=_("Reason (stored in the audit log)"), max_length=1000, widget=forms.Textarea)

    class Meta:
        model = Pause
        fields = ("name", "reason")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "name" in self.fields:  # not on the page that only shows one
            handlers, topics = pauses.known_names()
            choices = ((_("Handlers"), handlers), (_("Topics"), topics))
            self.fields["name"].choices = [(title, [(name, name) for name in names]) for title, names in choices]  # type: ignore[attr-defined]


@admin.register(Pause)
class PauseAdmin(ReasonedActionsAdmin):
    """The list of pauses, and the form for a new one."""

    reasoned_actions = (RESUME,)
    empty = _("Nothing is paused. To stop a handler or a topic of this service, add a pause; it needs a reason.")
    form = PauseForm
    list_display = SHOWN
    fields = ("name", "reason")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MAY)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or request.user.has_perm(MAY)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj is None else SHOWN

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else SHOWN

    def targets_of(self, rows: Iterable[Pause]) -> list[Target]:
        return [("", row.name) for row in rows]

    def context_of_list(self, request: HttpRequest) -> dict[str, Any]:
        return super().context_of_list(request) | pauses_by_circuit_breaker()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, one_button | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Pause by the operators' function, which locks, checks and writes the audit log."""
        if not request.user.has_perm(MAY):
            raise PermissionDenied
        result = actions.pause(obj.name, actor=request.user.get_username(), reason=obj.reason)
        show_results(request, [result])

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Leave it out of Django's own log: the audit log has it."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:messaging_pause_changelist"))

    @admin.display(description=_("why"))
    def why(self, pause: Pause) -> str:
        """Return the reason; the circuit breaker's stands out."""
        if not is_circuit_breaker(pause.actor):
            return pause.reason
        return format_html('<strong class="dl-alarm">⚠ {}:</strong> {}', name_of(pause.actor), pause.reason)

    @admin.display(description=_("actor"), ordering="actor")
    def paused_by(self, pause: Pause) -> Any:
        """Return who paused it."""
        return name_of(pause.actor)
