"""Parked keys: how many events wait, what the first of them waits for, and the actions for that one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from messaging.admin.actions import ReasonedAction, ReasonedActionsAdmin, Target
from messaging.admin.dead_letters import RETRY, SKIP
from messaging.admin.parked_queue import next_attempt, queue_table
from messaging.admin.rendering import nothing, shortened
from messaging.models import InboxRow, ParkedKey
from messaging.operations.selectors import queue_of


def head_of(parked: ParkedKey) -> InboxRow | None:
    """Return the first event of the key's queue, looked up once for each row of a page."""
    if not hasattr(parked, "_head"):
        parked._head = queue_of(parked.topic, parked.key).defer("raw").first()  # type: ignore[attr-defined]
    head: InboxRow | None = parked._head  # type: ignore[attr-defined]
    return head


@admin.register(ParkedKey)
class ParkedKeyAdmin(ReasonedActionsAdmin):
    """The list of parked keys, and the queue of one."""

    reasoned_actions = (replace(RETRY, label=_("Retry now")), replace(SKIP, label=_("Skip the first event")))
    empty = _("No key is parked. You need to do nothing.")
    list_display = ("key", "length", "error", "attempts", "next_attempt", "parked_at", "topic")
    list_filter = ("topic", "consumer_group")
    search_fields = ("=key",)
    search_help_text = _("A key")
    ordering = ("parked_at", "id")
    fields = (
        ("key", "topic", "partition"),
        "parked_at",
        ("length", "state", "attempts", "next_attempt"),
        "error",
        "queue",
    )
    readonly_fields = ("length", "state", "attempts", "next_attempt", "error", "queue")

    def targets_of(self, rows: Iterable[ParkedKey]) -> list[Target]:
        return [head.target for row in rows if (head := head_of(row))]

    def describe(self, action: ReasonedAction, targets: Sequence[Target]) -> list[Sequence[Any]]:
        rows = InboxRow.objects.filter(event_id__in=[event_id for event_id, _ in targets]).defer("raw")
        about: dict[Target, str] = {row.target: f"{row.key}: {shortened(row.error or '')}" for row in rows}
        return [(*target, about.get(target, "")) for target in targets]

    @admin.display(description=_("events in the queue"))
    def length(self, parked: ParkedKey) -> int:
        return queue_of(parked.topic, parked.key).count()

    @admin.display(description=_("first event"))
    def state(self, parked: ParkedKey) -> Any:
        head = head_of(parked)
        return head.get_state_display() if head else _("none: the key is unparked soon")

    @admin.display(description=_("attempts"))
    def attempts(self, parked: ParkedKey) -> Any:
        head = head_of(parked)
        return head.attempts if head else nothing()

    @admin.display(description=_("next attempt"))
    def next_attempt(self, parked: ParkedKey) -> Any:
        head = head_of(parked)
        return next_attempt(head) if head else _("none: the key is unparked soon")

    @admin.display(description=_("error of the first event"))
    def error(self, parked: ParkedKey) -> Any:
        head = head_of(parked)
        return shortened(head.error or "", 300) if head else nothing()

    @admin.display(description=_("queue, in order"))
    def queue(self, parked: ParkedKey) -> str:
        return queue_table(parked.topic, parked.key)
