"""Calls of private methods of kafka-python, where the public ones are missing or wrong."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError
from kafka.protocol.admin import DescribeGroupsRequest
from kafka.protocol.consumer import IsolationLevel
from kafka.protocol.metadata import MetadataRequest
from kafka.structs import OffsetAndMetadata

logger = logging.getLogger(__name__)

#: Longest wait for one answer of the broker about offsets, in milliseconds.
ASK_MS = 5000
#: Longest wait for an abandoned producer's thread, in seconds.
ABANDON_SECONDS = 2.0


def keep_joining(consumer: KafkaConsumer) -> None:
    """Call before each poll of a group consumer: a join under way must stay wanted until poll() takes its result.

    When metadata asked for it (a topic or a partition is new) and it ends between two polls, kafka-python 3.0.12 takes
    the member for joined, drops its assignment and never sends a heartbeat again: 7 of 200 starts ended so.
    """
    coordinator = consumer._coordinator
    if coordinator.rejoining and not coordinator.rejoin_needed:
        coordinator.request_rejoin()


def committed_offsets(consumer: KafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int | None]:
    """Return the group's committed offset of each partition, None where there is none.

    One request for all; the public committed() makes one for each partition.
    """
    committed = consumer._coordinator.fetch_committed_offsets(partitions, timeout_ms=ASK_MS)
    return {tp: committed[tp].offset if tp in committed else None for tp in partitions}


def own_member_id(consumer: KafkaConsumer) -> str:
    """Return the id that the broker gave this member; '' before it has joined."""
    member_id: str = consumer._coordinator.group_metadata().member_id
    return member_id


def described_group(consumer: KafkaConsumer) -> Any:
    """Return the broker's answer about the consumer's own group; None while its coordinator is unknown.

    One request on a connection that the consumer has already. Any thread may call this.
    """
    node = consumer._coordinator.coordinator_id
    return None if node is None else consumer._manager.run(_described_group, consumer, node)


async def _described_group(consumer: KafkaConsumer, node: str) -> Any:
    asked = consumer._manager.send(DescribeGroupsRequest(groups=[consumer.config["group_id"]]), node_id=node)
    answer = await consumer._manager.wait_for(asked, ASK_MS)
    return answer.groups[0]


def fetch_positions(consumer: KafkaConsumer) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return where the consumer reads on in each partition, with the leader epoch of what it has read there.

    Nothing is asked of the broker. The public position() may ask, and starts at Kafka's offset where there is none.
    """
    states = list(consumer._subscription.assignment.items())
    return {tp: state.position for tp, state in states if state.position is not None}


def seek_to(consumer: KafkaConsumer, partition: TopicPartition, offset: int, leader_epoch: int) -> None:
    """Seek to an offset whose last record before it had this leader epoch; -1: unknown.

    When the partition's leader has a later epoch, the next poll() or position() asks it, once, whether its log still
    has that record, and raises LogTruncationError when it does not.
    """
    consumer.seek(partition, offset)
    if leader_epoch >= 0:
        consumer._subscription.assignment[partition].seek(OffsetAndMetadata(offset, "", leader_epoch))


def topic_id(consumer: KafkaConsumer, topic: str) -> UUID | None:
    """Return the topic's id from the client's metadata, without asking; None when the metadata has none."""
    found: UUID | None = consumer._cluster.topic_id(topic)
    return found if found and found.int else None


def diverging(
    consumer: KafkaConsumer, positions: Mapping[TopicPartition, tuple[int, int]]
) -> dict[TopicPartition, int | None]:
    """Return which positions (offset, leader epoch) are cut off the log, and where it diverges; None: nobody knows.

    The consumer is without a group; its assignment is changed.
    """
    found: dict[TopicPartition, int | None] = {}
    consumer.assign(list(positions))
    for tp, (offset, epoch) in positions.items():
        seek_to(consumer, tp, offset, epoch)
    for tp in [*positions, *positions]:  # the first calls ask; what they find is raised by the next one
        try:
            consumer.position(tp, timeout_ms=ASK_MS)
        except LogTruncationError as error:
            found |= {cut: end and end.offset for cut, end in error.divergent_offsets.items()}
    return found


def log_ends(
    consumer: KafkaConsumer, partitions: list[TopicPartition], timeout_ms: int | None = None
) -> dict[TopicPartition, int]:
    """Return the offset after the last record of each partition, whether its transaction is committed, open or aborted.

    The public end_offsets() of a consumer that reads committed ends at the first open transaction.
    """
    fetcher = copy.copy(consumer._fetcher)
    fetcher._isolation_level = IsolationLevel.READ_UNCOMMITTED
    ends: dict[TopicPartition, int] = fetcher.end_offsets(
        partitions, consumer.config["request_timeout_ms"] if timeout_ms is None else timeout_ms
    )
    return ends


def abandon(producer: KafkaProducer) -> None:
    """Discard a producer by force: close() may return before its thread has stopped (kafka-python 3.0.12)."""
    producer._sender.force_close()
    producer._sender.join(ABANDON_SECONDS)
    try:
        producer.close(timeout=0)
    except KafkaError as error:
        logger.info("relay: the discarded producer raised %r", error)


def partitions_by_broker(client: Any, topic: str) -> list[int]:
    """Ask each broker how many partitions the topic has; the public calls ask any one of them."""
    numbers: list[int] = client._manager.run(_partitions_by_broker, client, topic)
    return numbers


async def _partitions_by_broker(client: Any, topic: str) -> list[int]:
    question = MetadataRequest(
        topics=[MetadataRequest.MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False
    )
    brokers = [broker.node_id for broker in client._manager.cluster.brokers()]
    answers = [await client._manager.send(question, node_id=broker) for broker in brokers]
    return [len(answer.topics[0].partitions) for answer in answers]
