"""The consumer's positions in the service's database. Locking alone fences nothing; comparing stops an old worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from messaging.conf import conf
from messaging.database import storable
from messaging.errors import PositionMoved

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The records of one partition that one poll gave: fetched from `start`, up to before `end`.

    `topic_id` names the log that they were fetched from, `leader_epoch` is that of the last record; None and -1:
    Kafka has not said.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: list[Any]
    topic_id: UUID | None = None
    leader_epoch: int = -1

    @property
    def place(self) -> Place:
        return (self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a consumer group is in a partition; `stopped_reason` is None while it is not stopped there."""

    partition: int
    next_offset: int
    stopped_reason: str | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A position's row: where it is, and in which log.

    `leader_epoch` is that of the last record before it, -1 when it is unknown. `outside`: why the position is not in
    the log, until an operator moves it; None while it may be. `lost_until`: where the group was before the database
    lost commits; None when the position is not behind. `service_lost`: whether any position of the service is.
    """

    next_offset: int
    topic_id: UUID | None = None
    leader_epoch: int = -1
    outside: str | None = None
    lost_until: int | None = None
    service_lost: bool = False

    def is_where(self, batch: Fetched) -> bool:
        """Return whether the batch was fetched from this position of this log, and may be handled."""
        same_log = None in (self.topic_id, batch.topic_id) or self.topic_id == batch.topic_id
        return self.next_offset == batch.start and same_log and self.outside is None and not self.service_lost


#: The position of a row that exists only to show the operators why its partition is stopped.
NO_POSITION = -1

_IS_OUTSIDE = "position.outside_at = position.next_offset AND position.stopped_reason IS NOT NULL"
#: Whether a position of these groups is behind where its group was: the database lost commits.
ANY_LOST = """EXISTS (SELECT 1 FROM messaging_consumer_position AS lost
               WHERE lost.next_offset < lost.lost_until AND lost.consumer_group = ANY(%s))"""
_COLUMNS = f"""
SELECT topic, partition, next_offset, topic_id,
       CASE WHEN epoch_offset = next_offset THEN coalesce(leader_epoch, -1) ELSE -1 END,
       CASE WHEN {_IS_OUTSIDE} THEN stopped_reason END,
       CASE WHEN next_offset < lost_until THEN lost_until END, {ANY_LOST}
"""
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
    return {place: row.next_offset for place, row in read_stored(group, places).items()}


def read_stored(group: str, places: Iterable[Place]) -> dict[Place, Stored]:
    """Return the same with the log of each."""
    return _select(group, places, "")


def lock(group: str, places: Iterable[Place]) -> dict[Place, int]:
    """Return the positions, their rows locked in order until the transaction ends."""
    return {place: row.next_offset for place, row in _lock(group, places).items()}


def _lock(group: str, places: Iterable[Place]) -> dict[Place, Stored]:
    return _select(group, places, "FOR UPDATE OF position")


def _select(group: str, places: Iterable[Place], locking: str) -> dict[Place, Stored]:
    wanted = sorted(places)
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_COLUMNS} {_WHERE} {locking}",
            [list(conf().groups), [topic for topic, _ in wanted], [partition for _, partition in wanted], group],
        )
        return {(topic, partition): Stored(*row) for topic, partition, *row in cursor.fetchall()}


def lock_and_compare(group: str, batch: Iterable[Fetched]) -> None:
    """Lock the batch's positions; PositionMoved when one is not where the batch was fetched from, or in another log.

    Likewise when the database lost commits in any partition of the service, as far as a worker has noticed.
    """
    by_place = {fetched.place: fetched for fetched in batch}
    here = _lock(group, by_place)
    moved = {place: row for place, each in by_place.items() if not ((row := here.get(place)) and row.is_where(each))}
    if moved:
        starts = {place: (by_place[place].start, by_place[place].topic_id) for place in moved}
        raise PositionMoved(f"group {group}: fetched from {starts}, but the position is {moved}")


def move(group: str, ends: Mapping[Place, int], epochs: Mapping[Place, int] | None = None) -> None:
    """Move the locked positions to the offsets after what was handled; `epochs`: its last record's leader epochs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_consumer_position AS position SET next_offset = t.next_offset,"
            " leader_epoch = nullif(t.leader_epoch, -1), epoch_offset = t.next_offset, outside_at = NULL,"
            " lost_until = NULL,"
            " stopped_reason = NULL, stopped_at = NULL, marked_offset = NULL, marked_by = NULL, deaths = 0"
            " FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::int[])"
            " AS t(topic, partition, next_offset, leader_epoch)"
            " WHERE position.consumer_group = %s AND position.topic = t.topic AND position.partition = t.partition",
            [
                [topic for topic, _ in ends],
                [partition for _, partition in ends],
                list(ends.values()),
                [(epochs or {}).get(place, -1) for place in ends],
                group,
            ],
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


def set_topics(group: str, topics: Mapping[Place, UUID], *, replace: bool = False) -> None:
    """Store to which log positions belong, where that is not known; `replace`: also where it is."""
    unknown = "" if replace else " AND position.topic_id IS NULL"
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_consumer_position AS position SET topic_id = t.topic_id"
            " FROM unnest(%s::text[], %s::int[], %s::uuid[]) AS t(topic, partition, topic_id)"
            " WHERE position.consumer_group = %s AND position.topic = t.topic AND position.partition = t.partition"
            f"{unknown}",
            [
                [topic for topic, _ in topics],
                [partition for _, partition in topics],
                [str(topic_id) for topic_id in topics.values()],
                group,
            ],
        )


def stop(group: str, place: Place, reason: str, outside_at: int | None = None) -> None:
    """Store why a partition is stopped, for the operators; also where there is no position.

    `outside_at`: the position is not in the log. Such a reason stays until the position moves.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_consumer_position AS position"
            " (consumer_group, topic, partition, next_offset, stopped_reason, stopped_at, outside_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET stopped_reason = excluded.stopped_reason,"
            " stopped_at = coalesce(position.stopped_at, excluded.stopped_at), outside_at = excluded.outside_at"
            f" WHERE ({_IS_OUTSIDE}) IS NOT TRUE",
            [group, *place, NO_POSITION, storable(reason), datetime.now(UTC), outside_at],
        )


def keep_loss(group: str, reached: Mapping[Place, int]) -> None:
    """Store where the group was before the database lost commits, also where there is no position.

    It stays until the position is there again, or an operator moves the group.
    """
    places = sorted(reached)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_consumer_position AS position"
            " (consumer_group, topic, partition, next_offset, lost_until)"
            " SELECT %s, topic, partition, %s, lost_until"
            " FROM unnest(%s::text[], %s::int[], %s::bigint[]) AS t(topic, partition, lost_until)"
            " ON CONFLICT (consumer_group, topic, partition) DO UPDATE"
            " SET lost_until = greatest(position.lost_until, excluded.lost_until)",
            [
                group,
                NO_POSITION,
                [topic for topic, _ in places],
                [partition for _, partition in places],
                [reached[place] for place in places],
            ],
        )


def clear_stop(group: str, places: Iterable[Place]) -> None:
    """Clear the stop reasons of partitions that are at the end of the log, where nothing is left that could fail."""
    wanted = list(places)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_consumer_position AS position SET stopped_reason = NULL, stopped_at = NULL"
            " FROM unnest(%s::text[], %s::int[]) AS t(topic, partition) WHERE position.consumer_group = %s"
            " AND position.topic = t.topic AND position.partition = t.partition AND stopped_reason IS NOT NULL"
            f" AND ({_IS_OUTSIDE}) IS NOT TRUE",
            [[topic for topic, _ in wanted], [partition for _, partition in wanted], group],
        )
