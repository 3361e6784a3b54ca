"""Crash marks: which worker owns a partition or a parked key, and which event it handles.

A worker that stops cleanly releases its partitions. A worker that finds another's name on a partition knows that the
other one crashed: it handles its first batch there one event at a time, and commits a mark before each. An event at
which several processes died in a row becomes a dead letter. A process cannot tell a kill from a crash (a named limit of
promise P8).
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.db import connection

from messaging.inbox.positions import Place
from messaging.inbox.rows import Entry

_TAKE_OWNERSHIP = """
UPDATE messaging_consumer_position AS position SET owner = %s
  FROM (SELECT id, position.owner AS before
          FROM messaging_consumer_position AS position
          JOIN unnest(%s::text[], %s::int[]) AS wanted(topic, partition) USING (topic, partition)
         WHERE consumer_group = %s AND next_offset >= 0
         ORDER BY topic, partition FOR UPDATE OF position) AS old
 WHERE position.id = old.id
RETURNING topic, partition, before
"""
#: Another worker's mark means that its event was not handled since: the next worker has to be as careful.
_RELEASE = """
UPDATE messaging_consumer_position AS position
   SET owner = CASE WHEN marked_by <> %s THEN marked_by END,
       marked_offset = CASE WHEN marked_by <> %s THEN marked_offset END,
       marked_by = CASE WHEN marked_by <> %s THEN marked_by END,
       deaths = CASE WHEN marked_by <> %s THEN deaths ELSE 0 END
  FROM unnest(%s::text[], %s::int[]) AS given(topic, partition)
 WHERE consumer_group = %s AND position.topic = given.topic AND position.partition = given.partition AND owner = %s
"""
#: Another worker's mark at the same event was never cleared: that process died at it.
_MARK = """
UPDATE {table}
   SET deaths = CASE WHEN {mark} IS DISTINCT FROM %s THEN 0
                     WHEN marked_by IS DISTINCT FROM %s THEN deaths + 1
                     ELSE deaths END,
       {mark} = %s, marked_by = %s
 WHERE {where}
RETURNING deaths
"""
_MARK_PARTITION = _MARK.format(
    table="messaging_consumer_position",
    mark="marked_offset",
    where="consumer_group = %s AND topic = %s AND partition = %s",
)
_MARK_PARKED = _MARK.format(table="messaging_parked_key", mark="marked_event", where="topic = %s AND key = %s")
_CLEAR_PARKED = """
UPDATE messaging_parked_key SET marked_event = NULL, marked_by = NULL, deaths = 0
 WHERE marked_event IS NOT NULL AND {}
"""


def process_name() -> str:
    """Return a name that is unique to this process."""
    return _name_of(os.getpid())


@cache
def _name_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{secrets.token_hex(4)}"


def take_ownership(group: str, places: Iterable[Place], worker: str) -> set[Place]:
    """Write the worker's name on its partitions; return those that another worker left without releasing."""
    wanted = sorted(places)
    columns: list[Any] = [[topic for topic, _ in wanted], [partition for _, partition in wanted]]
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_OWNERSHIP, [worker, *columns, group])
        rows = cursor.fetchall()
    return {(topic, partition) for topic, partition, before in rows if before not in (None, worker)}


def release(group: str, places: Iterable[Place], worker: str) -> None:
    """Remove the worker's name from partitions that it releases."""
    wanted = sorted(places)
    if wanted:
        columns: list[Any] = [[topic for topic, _ in wanted], [partition for _, partition in wanted]]
        with connection.cursor() as cursor:
            cursor.execute(_RELEASE, [*[worker] * 4, *columns, group, worker])


def mark(group: str, place: Place, offset: int, worker: str) -> int:
    """Mark the event at `offset` as being handled; return how many processes died at it before."""
    return _mark(_MARK_PARTITION, offset, worker, (group, *place))


def mark_parked(entry: Entry) -> int:
    """Mark the head of a parked key as being handled; the transaction holds the key's lock.

    Returns how many processes died at it before.
    """
    return _mark(_MARK_PARKED, f"{entry.event_id} {entry.handler}", process_name(), (entry.topic, entry.key))


def _mark(sql: str, event: int | str, worker: str, where: tuple[Any, ...]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, [event, worker, event, worker, *where])
        found = cursor.fetchone()
    return int(found[0]) if found else 0


def clear_parked(topic: str, key: str) -> None:
    """Clear this process's mark on a parked key: the event has an outcome, or failed without a crash."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR_PARKED.format("topic = %s AND key = %s AND marked_by = %s"), [topic, key, process_name()])


def clear_own_parked() -> None:
    """Clear every mark that this process left on a parked key."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR_PARKED.format("marked_by = %s"), [process_name()])
