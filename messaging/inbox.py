"""The inbox: one row per event and handler, so that an effect happens once (promise P3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from messaging.record import Received, storable
from messaging.registry import Handler
from messaging.states import InboxState

_INSERT = """
INSERT INTO messaging_inbox (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
SELECT event_id, handler, topic, partition, "offset", key, 'done', 1, now()
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::text[])
       AS t(event_id, handler, topic, partition, "offset", key)
 ORDER BY event_id, handler
    ON CONFLICT (event_id, handler) DO NOTHING
RETURNING event_id, handler
"""

#: Longest text of an error that is kept.
MAX_ERROR = 2000


def insert_new(pairs: Sequence[tuple[Received, Handler]]) -> set[tuple[str, str]]:
    """Insert the rows in one statement, sorted, and return the (event id, handler) pairs that were not there before."""
    if not pairs:
        return set()
    columns = (
        [record.event_id for record, _ in pairs],
        [handler.name for _, handler in pairs],
        [record.topic for record, _ in pairs],
        [record.partition for record, _ in pairs],
        [record.offset for record, _ in pairs],
        [record.key for record, _ in pairs],
    )
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, columns)
        return set(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an event at a handler."""

    state: InboxState
    attempts: int
    fingerprint: str | None = None
    error: str = ""


def mark(record: Received, handler: Handler, result: Result) -> None:
    """Write what became of an event whose row this transaction inserted."""
    error = storable(result.error)[:MAX_ERROR] or None
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_inbox SET state = %s, attempts = %s, fingerprint = %s, error = %s"
            " WHERE event_id = %s AND handler = %s",
            [result.state.value, result.attempts, result.fingerprint, error, record.event_id, handler.name],
        )


def mark_dead(pairs: Iterable[tuple[Received, Handler]]) -> None:
    """Mark several events as dead letters of their handlers."""
    wanted = list(pairs)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_inbox SET state = 'dead' FROM unnest(%s::text[], %s::text[]) AS t(event_id, handler)"
            " WHERE messaging_inbox.event_id = t.event_id AND messaging_inbox.handler = t.handler",
            [[record.event_id for record, _ in wanted], [handler.name for _, handler in wanted]],
        )


def unhandled(key: str) -> bool:
    """Tell whether an event of `key` waits in this service's inbox, or is a dead letter."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM messaging_inbox WHERE key = %s AND state IN ('waiting', 'dead'))", [key]
        )
        return bool(cursor.fetchone()[0])


def later_keys(handler: Handler, records: Sequence[Received]) -> set[tuple[str, int]]:
    """Return the (key, offset) of those records whose key has a later inbox row of the handler, in any state."""
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT t.key, t."offset" FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[])'
            ' AS t(key, topic, partition, "offset") WHERE EXISTS (SELECT 1 FROM messaging_inbox AS later'
            " WHERE later.key = t.key AND later.topic = t.topic AND later.partition = t.partition"
            ' AND later."offset" > t."offset" AND later.handler = %s)',
            [
                [each.key for each in records],
                [each.topic for each in records],
                [each.partition for each in records],
                [each.offset for each in records],
                handler.name,
            ],
        )
        return set(cursor.fetchall())


def known(handler: Handler, event_ids: Sequence[str]) -> set[str]:
    """Return those event ids that have an inbox row of the handler, in any state."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id FROM messaging_inbox WHERE handler = %s AND event_id = ANY(%s)",
            [handler.name, list(event_ids)],
        )
        return {row[0] for row in cursor.fetchall()}
