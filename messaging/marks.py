"""Marks: who has a partition, and over which event a process died.

A worker that ends in order gives its partitions up. One that finds another's name on a partition follows an unclean
end: it takes its first batch there event by event, with a mark committed before each. An event over which process
after process dies is a dead letter. From inside, a kill and a crash look alike (a named limit of promise P8).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection

from messaging.positions import Place

_OWN = """
UPDATE messaging_consumer_position AS position SET owner = %s
  FROM (SELECT id, position.owner AS before
          FROM messaging_consumer_position AS position
          JOIN unnest(%s::text[], %s::int[]) AS wanted(topic, partition) USING (topic, partition)
         WHERE consumer_group = %s AND next_offset >= 0
         ORDER BY topic, partition FOR UPDATE OF position) AS old
 WHERE position.id = old.id
RETURNING topic, partition, before
"""
_GIVE_UP = """
UPDATE messaging_consumer_position AS position
   SET owner = NULL, marked_offset = NULL, marked_by = NULL, deaths = 0
  FROM unnest(%s::text[], %s::int[]) AS given(topic, partition)
 WHERE consumer_group = %s AND position.topic = given.topic AND position.partition = given.partition AND owner = %s
"""
#: Another's mark at the same event, which nobody took back: that process died over it.
_MARK = """
UPDATE messaging_consumer_position
   SET deaths = CASE WHEN marked_offset IS DISTINCT FROM %s THEN 0
                     WHEN marked_by IS DISTINCT FROM %s THEN deaths + 1
                     ELSE deaths END,
       marked_offset = %s, marked_by = %s
 WHERE consumer_group = %s AND topic = %s AND partition = %s
RETURNING deaths
"""


def own(group: str, places: Iterable[Place], worker: str) -> set[Place]:
    """Write the worker's name on its partitions; return those on which another one's was left."""
    wanted = sorted(places)
    columns: list[Any] = [[topic for topic, _ in wanted], [partition for _, partition in wanted]]
    with connection.cursor() as cursor:
        cursor.execute(_OWN, [worker, *columns, group])
        rows = cursor.fetchall()
    return {(topic, partition) for topic, partition, before in rows if before not in (None, worker)}


def give_up(group: str, places: Iterable[Place], worker: str) -> None:
    """Take the worker's name off partitions that it gives up in order."""
    wanted = sorted(places)
    if wanted:
        columns: list[Any] = [[topic for topic, _ in wanted], [partition for _, partition in wanted]]
        with connection.cursor() as cursor:
            cursor.execute(_GIVE_UP, [*columns, group, worker])


def mark(group: str, place: Place, offset: int, worker: str) -> int:
    """Write down that the worker takes up the event at `offset`; return how many processes died over it before."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [offset, worker, offset, worker, group, *place])
        found = cursor.fetchone()
    return int(found[0]) if found else 0
