"""A batch of the log that can't be read: damaged on the broker's disk, or packed by a codec that is not installed.

kafka-python 3.0.12 raises at it once, and then its poll() never returns again. Here it raises each time, says where,
and gives the other partitions' records meanwhile.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher

from messaging.errors import PartitionStopped


class UnreadableBatch(PartitionStopped):
    """Kafka's client can't read what `partition` holds at `offset`; what came before was given to the reader."""

    def __init__(self, partition: TopicPartition, offset: int, error: Exception) -> None:
        super().__init__(f"{partition.topic}/{partition.partition} can't be read from offset {offset} on: {error}")
        self.partition = partition


def install() -> None:
    """Let poll() of every consumer of this process raise UnreadableBatch."""
    records = Fetcher.PartitionRecords
    take = records.take
    if hasattr(take, "__wrapped__"):
        return

    @wraps(take)
    def take_or_tell(self: Any, n: int | None = None) -> Any:
        try:
            return take(self, n)
        except Exception as error:
            self.drain()  # what is left of it would be asked for records for ever
            raise UnreadableBatch(self.topic_partition, self.next_fetch_offset, error) from error

    records.take = take_or_tell
