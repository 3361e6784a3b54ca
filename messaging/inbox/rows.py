"""The inbox: one row per event and handler, so that an effect happens once (promise P3).

A row that waits in its key's queue, or blocks it as a dead letter, holds the whole record (`raw`); no other does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import NamedTuple

import psycopg2
from django.db import connection

from messaging.database import storable
from messaging.ids import spellings
from messaging.kafka.records import Received, newest_partition
from messaging.registry import Handler
from messaging.states import InboxState

_INSERT = """
INSERT INTO messaging_inbox (event_id, handler, topic, partition, "offset", key, source, state, attempts, received_at)
SELECT event_id, handler, topic, partition, "offset", key, source, 'done', 1, now()
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[])
       AS t(event_id, handler, topic, partition, "offset", key, source)
 ORDER BY event_id, handler
    ON CONFLICT (event_id, handler) DO NOTHING
RETURNING event_id, handler
"""
_WRITE_OUTCOME = """
UPDATE messaging_inbox
   SET state = %s, attempts = %s, fingerprint = %s, error = %s, raw = %s,
       next_attempt_at = clock_timestamp() + %s * interval '1 second'
 WHERE event_id = %s AND handler = %s
"""
_QUEUE = """
UPDATE messaging_inbox AS row SET state = 'waiting', attempts = 0, raw = t.raw, next_attempt_at = now()
  FROM unnest(%s::text[], %s::text[], %s::bytea[]) AS t(event_id, handler, raw)
 WHERE row.event_id = t.event_id AND row.handler = t.handler
"""

_LATER_KEYS = """
SELECT t.key, t."offset"
  FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[], %s::boolean[])
       AS t(key, topic, partition, "offset", is_newest)
 WHERE EXISTS (
       SELECT 1 FROM messaging_inbox AS later
        WHERE later.key = t.key AND later.topic = t.topic AND later.handler = %s
          AND CASE WHEN later.partition = t.partition THEN later."offset" > t."offset" ELSE NOT t.is_newest END)
"""

#: Longest text of an error that is kept.
MAX_ERROR = 2000
#: Longest source that is kept as it is, in characters.
MAX_SOURCE = 200


#: The order of a key's queue, for inbox rows named `row` and the key named `parked`; the parameter is handler_names().
#: Events of the partition in which the key was parked come before those of another partition: `repartition` adds
#: partitions only when every group has read the old ones to the end.
ORDER_IN_PARTITION = 'row."offset", array_position(%s::text[], row.handler::text), row.id'
QUEUE_ORDER = f"row.partition <> parked.partition, {ORDER_IN_PARTITION}"


class Entry(NamedTuple):
    """An event at a handler, in the column order of the inbox; `source` is as the column keeps it."""

    event_id: str
    handler: str
    topic: str
    partition: int
    offset: int
    key: str
    source: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What the row is unique by."""
        return (self.event_id, self.handler)


def entry_of(record: Received, handler: Handler) -> Entry:
    """Return the inbox's entry of a record at a handler."""
    source = stored_source(record.topic, record.source)
    return Entry(record.event_id, handler.name, record.topic, record.partition, record.offset, record.key, source)


@cache
def own_source(topic: str) -> str:
    """Return the source of a topic's own publisher: the service whose name the topic begins with."""
    return "/" + topic.partition(".")[0]


def stored_source(topic: str, source: str) -> str:
    """Return a source as the inbox keeps it: '' for the topic's own publisher, and of a long one a digest."""
    if source == own_source(topic):
        return ""
    return source if len(source) <= MAX_SOURCE else f"{source[: MAX_SOURCE // 2]} {sha256(source.encode()).hexdigest()}"


def insert_new(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Insert the rows in one statement, sorted, and return the (event id, handler) pairs that were not there before."""
    if not entries:
        return set()
    columns = [list(column) for column in zip(*entries, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, columns)
        return set(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class InboxUpdate:
    """The outcome of an event at a handler. `raw` is the packed record of a row that stays in its key's queue.

    `wait`: seconds until the next attempt, by the database's clock, since the workers' clocks differ.
    """

    state: InboxState
    attempts: int
    fingerprint: str | None = None
    error: str = ""
    raw: bytes | None = None
    wait: float | None = None


def write_outcome(entry: Entry, result: InboxUpdate) -> None:
    """Write the outcome of an event whose row this transaction inserted, or locks by its parked key."""
    error = storable(result.error)[:MAX_ERROR] or None
    raw = None if result.raw is None else psycopg2.Binary(result.raw)
    values = [result.state.value, result.attempts, result.fingerprint, error, raw, result.wait]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_OUTCOME, [*values, *entry.identity])


def queue(waiting: Sequence[tuple[Entry, bytes]]) -> None:
    """Queue events, whose rows this transaction inserted, behind their parked keys, with their packed records."""
    if not waiting:
        return
    columns = [
        [entry.event_id for entry, _ in waiting],
        [entry.handler for entry, _ in waiting],
        [psycopg2.Binary(raw) for _, raw in waiting],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, columns)


def unhandled(key: str) -> bool:
    """Return whether an event of `key` waits in this service's inbox, or is a dead letter."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM messaging_inbox WHERE key = ANY(%s) AND state IN ('waiting', 'dead'))",
            [spellings(key)],
        )
        return bool(cursor.fetchone()[0])


def unhandled_keys(keys: Iterable[str]) -> set[str]:
    """Return those of the keys for which unhandled() is true, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT key FROM messaging_inbox WHERE key = ANY(%s) AND state IN ('waiting', 'dead')",
            [list(keys)],
        )
        return {key for (key,) in cursor.fetchall()}


def parked_events(key: str) -> list[tuple[str, str, str, int, str]]:
    """Return the queue of a key, in order: (topic, handler, state, attempts, error)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT topic, handler, state, attempts, coalesce(error, '') FROM messaging_inbox"
            ' WHERE key = ANY(%s) AND raw IS NOT NULL ORDER BY topic, "offset", id',
            [spellings(key)],
        )
        return list(cursor.fetchall())


def has_later_effect(entry: Entry) -> bool:
    """Return whether a later event of the key took effect at the handler; `entry` has an inbox row.

    In the same partition the offset tells which is later, in another partition the row's id: keys move only forward.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM messaging_inbox AS own"
            " JOIN messaging_inbox AS later USING (topic, key, handler)"
            " WHERE own.event_id = %s AND own.handler = %s AND later.state IN ('done', 'exhausted') AND CASE"
            ' WHEN later.partition = own.partition THEN later."offset" > own."offset" ELSE later.id > own.id END)',
            list(entry.identity),
        )
        return bool(cursor.fetchone()[0])


def later_keys(handler: Handler, records: Iterable[Received], partitions: int) -> set[tuple[str, int]]:
    """Return the (key, offset) of those records whose key has a later inbox row of the handler, in any state.

    In the same partition the offset tells which is later. Of a topic with so many `partitions`, the one that the key
    leads to now has its latest events (`repartition` sees to that), so any other partition is taken for later by
    a record that is not there.
    """
    wanted = list(records)
    with connection.cursor() as cursor:
        cursor.execute(
            _LATER_KEYS,
            [
                [each.key for each in wanted],
                [each.topic for each in wanted],
                [each.partition for each in wanted],
                [each.offset for each in wanted],
                [each.partition == newest_partition(each.raw.key, partitions) for each in wanted],
                handler.name,
            ],
        )
        return set(cursor.fetchall())
