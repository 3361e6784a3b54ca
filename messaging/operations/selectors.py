"""What operators see: dead letters and their groups, parked keys, and the queue of a key in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Count, Max, Min, QuerySet
from django.db.models.expressions import RawSQL

from messaging.audit_log import Target
from messaging.ids import spellings
from messaging.inbox.rows import QUEUE_ORDER
from messaging.registry import handler_names
from messaging.states import InboxState

if TYPE_CHECKING:
    from messaging.models import DeadLetterRow, InboxRow

_PARKED = f"""
SELECT parked.topic, parked.key, parked.parked_at,
       (SELECT count(*) FROM messaging_inbox AS queued
         WHERE queued.topic = parked.topic AND queued.key = parked.key AND queued.raw IS NOT NULL),
       coalesce(head.event_id, ''), coalesce(head.handler, ''), coalesce(head.state, ''), coalesce(head.attempts, 0),
       coalesce(head.error, ''), head.next_attempt_at
  FROM messaging_parked_key AS parked
  LEFT JOIN LATERAL (
       SELECT row.* FROM messaging_inbox AS row
        WHERE row.topic = parked.topic AND row.key = parked.key AND row.raw IS NOT NULL
        ORDER BY {QUEUE_ORDER} LIMIT 1
       ) AS head ON true
 WHERE parked.topic = coalesce(%s, parked.topic) AND (%s::text[] IS NULL OR parked.key = ANY(%s))
 ORDER BY parked.id LIMIT %s
"""


def dead_letters(
    *,
    fingerprint: str | None = None,
    handler: str | None = None,
    topic: str | None = None,
    key: str | None = None,
    open: bool = True,
) -> QuerySet[DeadLetterRow]:
    """Return the dead letters that match every given filter, in the order of topic, partition and offset.

    `open`: only those that were not retried or skipped yet. Each has a `target`, as retry() and skip() take it.
    """
    from messaging.models import DeadLetterRow

    keys = None if key is None else spellings(key)
    asked = {"fingerprint": fingerprint, "handler": handler, "topic": topic, "key__in": keys}
    letters = DeadLetterRow.objects.filter(**{name: value for name, value in asked.items() if value is not None})
    letters = letters.filter(resolved_at__isnull=True) if open else letters
    return letters.order_by("topic", "partition", "offset", "handler")


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Dead letters that failed alike: how many, and when the first and the last of them died."""

    fingerprint: str
    reason: str
    handler: str
    count: int
    first_at: datetime
    last_at: datetime


def groups_of(letters: QuerySet[DeadLetterRow]) -> list[LetterGroup]:
    """Return the groups of these dead letters, the largest first."""
    names = ("fingerprint", "reason", "handler")
    counted = letters.order_by().values(*names).annotate(count=Count("id"), first_at=Min("at"), last_at=Max("at"))
    return [LetterGroup(**each) for each in counted.order_by("-count", *names)]


def waiting_or_dead(event_id: str, handler: str | None = None) -> list[Target]:
    """Return the targets of an event that has not ended: at all its handlers, or at one."""
    from messaging.models import InboxRow

    rows = InboxRow.objects.filter(event_id=event_id, state__in=(InboxState.WAITING, InboxState.DEAD))
    rows = rows if handler is None else rows.filter(handler=handler)
    return list(rows.order_by("handler").values_list("event_id", "handler"))


@dataclass(frozen=True, slots=True)
class ParkedQueue:
    """A parked key: the length of its queue, and the head, for which all other events wait.

    `next_attempt_at` is None when the head waits for an operator. An empty queue, which is about to be unparked, has
    empty texts for its head.
    """

    topic: str
    key: str
    parked_at: datetime
    length: int
    event_id: str
    handler: str
    state: str
    attempts: int
    error: str
    next_attempt_at: datetime | None


def parked_keys(*, topic: str | None = None, key: str | None = None, limit: int = 1000) -> list[ParkedQueue]:
    """Return at most `limit` parked keys with their queues' lengths and heads, the earliest parked first."""
    with connection.cursor() as cursor:
        keys = None if key is None else spellings(key)
        cursor.execute(_PARKED, [handler_names(), topic, keys, keys, limit])
        return [ParkedQueue(*row) for row in cursor.fetchall()]


def queue_of(topic: str, key: str) -> QuerySet[InboxRow]:
    """Return the events of a key's queue, in the order in which they take effect."""
    from messaging.models import InboxRow

    place = RawSQL("array_position(%s::text[], handler::text)", [handler_names()])
    queued = InboxRow.objects.filter(topic=topic, key=key, raw__isnull=False)
    parked_in = "(SELECT partition FROM messaging_parked_key AS parked WHERE (parked.topic, parked.key) = (%s, %s))"
    came_later = RawSQL(f"messaging_inbox.partition <> {parked_in}", [topic, key])
    return queued.order_by(came_later, "offset", place.asc(nulls_last=True), "id")


def targets_of(rows: Sequence[DeadLetterRow | InboxRow] | QuerySet[DeadLetterRow]) -> list[Target]:
    """Return the targets of rows."""
    return [row.target for row in rows]
