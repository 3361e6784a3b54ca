"""The consumer's positions in the service's database. Locking alone fences nothing; comparing stops an old worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from messaging.database import storable
from messaging.errors import PositionMoved

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The records of one partition that one poll gave: fetched from `start`, up to before `end`."""

    topic: str
    partition: int
    start: int
    end: int
    records: list[Any]

    @property
    def place(self) -> Place:
        return (self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a consumer group is in a partition; `stopped_reason` is None while it is not stopped there."""

    partition: int
    next_offset: int
    stopped_reason: str | None


#: The position of a row that exists only to show the operators why its partition is stopped.
NO_POSITION = -1

_WHERE = """
  FROM unnest(%s::text[], %s::int[]) AS wanted(topic, partition)
  JOIN messaging_consumer_position AS position USING (topic, partition)
 WHERE consumer_group = %s AND next_offset >= 0
 ORDER BY topic, partition
"""


def positions_of(group: str, topic: str) -> list[Position]:
    """Return the group's positions in a topic, by partition; a partition that was never read has none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT partition, next_offset, stopped_reason FROM messaging_consumer_position"
            " WHERE consumer_group = %s AND topic = %s ORDER BY partition",
            [group, topic],
        )
        return [Position(*row) for row in cursor.fetchall()]


def read(group: str, places: Iterable[Place]) -> dict[Place, int]:
    """Return the positions that have a row: (topic, partition) → next offset."""
    return _select(group, places, "")


def lock(group: str, places: Iterable[Place]) -> dict[Place, int]:
    """Return the positions, their rows locked in order until the transaction ends."""
    return _select(group, places, "FOR UPDATE OF position")


def _select(group: str, places: Iterable[Place], locking: str) -> dict[Place, int]:
    wanted = sorted(places)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT topic, partition, next_offset {_WHERE} {locking}",
            [[topic for topic, _ in wanted], [partition for _, partition in wanted], group],
        )
        return {(topic, partition): next_offset for topic, partition, next_offset in cursor.fetchall()}


def lock_and_compare(group: str, batch: Iterable[Fetched]) -> None:
    """Lock the batch's positions; PositionMoved when one is not where the batch was fetched from."""
    starts = {fetched.place: fetched.start for fetched in batch}
    here = lock(group, starts)
    moved = {place: here.get(place) for place, start in starts.items() if here.get(place) != start}
    if moved:
        raise PositionMoved(f"group {group}: fetched from {starts}, but the position is {moved}")


def move(group: str, ends: Mapping[Place, int]) -> None:
    """Move the locked positions to the offsets after what was handled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_consumer_position AS position SET next_offset = t.next_offset,"
            " stopped_reason = NULL, stopped_at = NULL, marked_offset = NULL, marked_by = NULL, deaths = 0"
            " FROM unnest(%s::text[], %s::int[], %s::bigint[]) AS t(topic, partition, next_offset)"
            " WHERE position.consumer_group = %s AND position.topic = t.topic AND position.partition = t.partition",
            [[topic for topic, _ in ends], [partition for _, partition in ends], list(ends.values()), group],
        )


def create(group: str, starts: Mapping[Place, int]) -> None:
    """Insert rows for partitions that have none; another worker may have done so first."""
    places = sorted(starts)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_consumer_position AS position (consumer_group, topic, partition, next_offset)"
            " SELECT %s, topic, partition, next_offset"
            " FROM unnest(%s::text[], %s::int[], %s::bigint[]) AS t(topic, partition, next_offset)"
            " ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET next_offset = excluded.next_offset"
            " WHERE position.next_offset < 0",
            [
                group,
                [topic for topic, _ in places],
                [partition for _, partition in places],
                [starts[place] for place in places],
            ],
        )


def stop(group: str, place: Place, reason: str) -> None:
    """Store why a partition is stopped, for the operators; also where there is no position."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_consumer_position AS position"
            " (consumer_group, topic, partition, next_offset, stopped_reason, stopped_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET stopped_reason = excluded.stopped_reason,"
            " stopped_at = coalesce(position.stopped_at, excluded.stopped_at)",
            [group, *place, NO_POSITION, storable(reason), datetime.now(UTC)],
        )


def clear_stop(group: str, places: Iterable[Place]) -> None:
    """Clear the stop reasons of partitions that are at the end of the log, where nothing is left that could fail."""
    wanted = list(places)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_consumer_position AS position SET stopped_reason = NULL, stopped_at = NULL"
            " FROM unnest(%s::text[], %s::int[]) AS t(topic, partition) WHERE position.consumer_group = %s"
            " AND position.topic = t.topic AND position.partition = t.partition AND stopped_reason IS NOT NULL",
            [[topic for topic, _ in wanted], [partition for _, partition in wanted], group],
        )
