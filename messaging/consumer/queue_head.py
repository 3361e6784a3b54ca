"""The head of a parked key's queue: the event that is retried next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from messaging.inbox.rows import ORDER_IN_PARTITION, QUEUE_ORDER, Entry
from messaging.registry import handler_names
from messaging.states import InboxState

_QUEUED = """
SELECT event_id, handler, topic, row.partition, "offset", key, state, attempts, received_at,
       coalesce(next_attempt_at <= now(), true), raw
  FROM messaging_parked_key AS parked JOIN messaging_inbox AS row USING (topic, key)
 WHERE topic = %s AND key = %s AND raw IS NOT NULL
"""
#: First the partition in which the key was parked: an index leads to its head, however long the queue is.
_HEADS = (
    f"{_QUEUED} AND row.partition = parked.partition ORDER BY {ORDER_IN_PARTITION} LIMIT 1",
    f"{_QUEUED} ORDER BY {QUEUE_ORDER} LIMIT 1",
)


@dataclass(frozen=True, slots=True)
class Head:
    """The first event in a key's queue, at the first handler that has not handled it."""

    entry: Entry
    state: str
    attempts: int
    received_at: datetime
    is_due: bool
    raw: bytes

    @property
    def may_be_tried(self) -> bool:
        """Whether it waits, and its time has come; a dead head waits for an operator."""
        return self.state == InboxState.WAITING and self.is_due


def head_of(topic: str, key: str) -> Head | None:
    """Return the first event of a key's queue at the first of its handlers, as they subscribed."""
    with connection.cursor() as cursor:
        for query in _HEADS:
            cursor.execute(query, [topic, key, handler_names()])
            if row := cursor.fetchone():
                return _head(row)
    return None


def _head(row: tuple[Any, ...]) -> Head:
    state, made, received_at, is_due, raw = row[6:]
    return Head(Entry(*row[:6]), state, made, received_at, is_due, bytes(raw))
