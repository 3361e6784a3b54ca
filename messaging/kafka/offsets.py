"""Where the log ends, and how far this service has read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnknownTopicOrPartitionError

from messaging.conf import group_of
from messaging.kafka.clients import reader
from messaging.kafka.patches.private_calls import log_ends, topic_id

_POSITIONS = """
SELECT topic, partition, next_offset, topic_id,
       outside_at IS NOT DISTINCT FROM next_offset AND stopped_reason IS NOT NULL
  FROM messaging_consumer_position
  JOIN unnest(%s::text[], %s::text[]) AS wanted(topic, consumer_group) USING (topic, consumer_group)
"""


def end_offsets(topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """Ask Kafka for the offset after the last record of each partition: (topic, partition) → offset.

    The records of an open transaction count, and so do those behind it: they are published, but cannot be read yet.
    A topic is left out while this service's position there is of another log (a topic made again, records lost): the
    two cannot be compared.
    KafkaError when the broker can't be reached, or a topic does not exist.
    """
    with reader() as consumer:
        partitions = [tp for topic in topics for tp in _partitions(consumer, topic)]
        here = _positions({tp.topic for tp in partitions})  # before the ends, which only grow
        ends = log_ends(consumer, partitions)
        others = {row.topic for row in here if _is_of_another_log(row, topic_id(consumer, row.topic), ends)}
    return {(tp.topic, tp.partition): offset for tp, offset in ends.items() if tp.topic not in others}


class _Position(NamedTuple):
    """A position of this service, and whether it is known to be outside the log."""

    topic: str
    partition: int
    next_offset: int
    topic_id: UUID | None
    is_outside: bool


def _positions(topics: set[str]) -> list[_Position]:
    groups = {topic: group_of(topic) for topic in topics}
    with connection.cursor() as cursor:
        cursor.execute(_POSITIONS, [list(groups), list(groups.values())])
        return [_Position(*row) for row in cursor.fetchall()]


def _is_of_another_log(row: _Position, now: UUID | None, ends: Mapping[TopicPartition, int]) -> bool:
    end = ends.get(TopicPartition(row.topic, row.partition))
    if end is None:  # the topic was made again with fewer partitions: nothing is left to read there
        return False
    made_again = None not in (row.topic_id, now) and row.topic_id != now
    return made_again or row.is_outside or row.next_offset > end


def _partitions(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    found = consumer.partitions_for_topic(topic)
    if not found:
        raise UnknownTopicOrPartitionError(f"the broker knows no partition of {topic} now")
    return [TopicPartition(topic, partition) for partition in sorted(found)]


def positions_passed(group: str, offsets: Mapping[tuple[str, int], int]) -> bool:
    """Return whether the group's positions in the service's database have passed every one of `offsets`.

    An empty partition, or one whose end is 0, counts as passed.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT topic, partition, next_offset FROM messaging_consumer_position WHERE consumer_group = %s", [group]
        )
        rows = cursor.fetchall()
    here = {(topic, partition): next_offset for topic, partition, next_offset in rows}
    return all(here.get(place, 0) >= offset for place, offset in offsets.items())
