"""The lag of every consumer group of the cluster behind the end of a topic, from Kafka's own offsets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnknownTopicOrPartitionError

from messaging.kafka.clients import admin, reader
from messaging.kafka.patches.private_calls import log_ends


def group_lag(topic: str) -> dict[str, int]:
    """Return how many records of `topic` each of its groups has not passed: group → records.

    A group reads the topic when it has an offset there, or a member that subscribes to it. The records of an open
    transaction count, and those behind it: they are still to be read. KafkaError when no broker answers, or the topic
    does not exist.
    """
    with reader() as consumer, admin() as client:
        begin, end = _ends(consumer, topic)
        names = [group["group_id"] for group in client.list_groups()]
        offsets = client.list_group_offsets({name: list(end) for name in names}) if names else {}
        subscribed = set(_subscribers(client, names, topic))
        passed = {
            name: {tp: found.offset for tp, found in offsets[name].items() if found.offset >= 0} for name in names
        }
        return {
            name: sum(max(0, end[tp] - passed[name].get(tp, begin[tp])) for tp in end)
            for name in names
            if passed[name] or name in subscribed
        }


def _ends(consumer: KafkaConsumer, topic: str) -> tuple[Mapping[Any, int], Mapping[Any, int]]:
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise UnknownTopicOrPartitionError(f"the broker knows no topic {topic}")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    return consumer.beginning_offsets(partitions), log_ends(consumer, partitions)


def _subscribers(client: Any, names: list[str], topic: str) -> Iterator[str]:
    """Yield the groups with a member that subscribes to the topic, also one that has committed nothing yet."""
    for name, group in client.describe_groups(names).items() if names else ():
        for member in group["members"]:
            if topic in (member["member_metadata"] or {}).get("topics", ()):
                yield name
