"""Where the log ends, and how far this service has read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db import connection
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnknownTopicOrPartitionError

from messaging.kafka.clients import reader
from messaging.kafka.patches.private_calls import log_ends


def end_offsets(topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """Ask Kafka for the offset after the last record of each partition: (topic, partition) → offset.

    The records of an open transaction count, and so do those behind it: they are published, but cannot be read yet.
    KafkaError when the broker can't be reached, or a topic does not exist.
    """
    with reader() as consumer:
        partitions = [tp for topic in topics for tp in _partitions(consumer, topic)]
        return {(tp.topic, tp.partition): offset for tp, offset in log_ends(consumer, partitions).items()}


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
