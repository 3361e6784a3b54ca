"""Locks the events of an operator's action, then reads them.

The order of the locks is fixed, so that two operators never deadlock: parked keys, inbox rows, positions. The inbox
row's own lock is for dead letters whose key is not parked: no other lock separates two operators there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from messaging.audit_log import Target
from messaging.inbox.rows import Entry
from messaging.parking.keys import Parked, lock_parked
from messaging.states import InboxState

_PLACES = """
SELECT topic, key FROM messaging_inbox JOIN unnest(%s::text[], %s::text[]) AS wanted(event_id, handler)
       USING (event_id, handler)
"""
_LOCK = """
SELECT 1 FROM messaging_inbox AS row JOIN unnest(%s::text[], %s::text[]) AS wanted(event_id, handler)
       USING (event_id, handler)
 ORDER BY event_id, handler FOR NO KEY UPDATE OF row
"""
#: A separate statement after the locks: a statement that waits for a lock reads the state from before its wait.
_READ = """
SELECT row.event_id, row.handler, row.topic, row.partition, row."offset", row.key, row.state, row.attempts,
       row.received_at, coalesce(row.next_attempt_at <= now(), true), coalesce(row.raw, letter.edited, letter.raw),
       letter.raw, row.raw IS NOT NULL
  FROM messaging_inbox AS row
  JOIN unnest(%s::text[], %s::text[]) AS wanted(event_id, handler) USING (event_id, handler)
  LEFT JOIN messaging_dead_letter AS letter USING (event_id, handler)
 ORDER BY row.topic, row.key, row."offset", row.handler
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An event at a handler, read under its locks. `raw` is the record to be tried, `original` the dead letter's.

    `queued`: it stands in its key's queue; `parked`: its key has one.
    """

    entry: Entry
    state: str
    attempts: int
    received_at: datetime
    time_has_come: bool
    raw: bytes | None
    original: bytes | None
    queued: bool
    parked: bool

    @property
    def is_due(self) -> bool:
        """Whether it waits with the attempts reset, and its time has come."""
        return self.state == InboxState.WAITING and self.attempts == 0 and self.time_has_come


def lock(events: Sequence[Target]) -> dict[Target, Found]:
    """Lock the parked keys of these events and their inbox rows, then read them; in the order of their keys."""
    columns = [[event_id for event_id, _ in events], [handler for _, handler in events]]
    parked = lock_parked(set(_rows(_PLACES, columns)), exclusively=True)
    _rows(_LOCK, columns)
    found = [_found(row, parked) for row in _rows(_READ, columns)]
    return {each.entry.identity: each for each in found}


def _found(row: tuple[Any, ...], parked: set[Parked]) -> Found:
    entry, (raw, original) = Entry(*row[:6]), (None if data is None else bytes(data) for data in row[10:12])
    state, attempts, received_at, time_has_come = row[6:10]
    place_parked = (entry.topic, entry.key) in parked
    return Found(entry, state, attempts, received_at, time_has_come, raw, original, row[12], place_parked)


def _rows(sql: str, columns: list[list[str]]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, columns)
        return list(cursor.fetchall())
