"""Offsets of a topic that an operator names by partition, number or time; replay and reset_offsets share them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime

from kafka import KafkaConsumer, TopicPartition

from messaging.conf import conf, group_of
from messaging.errors import ExitCode, RangeRefused


def moment(text: str) -> datetime:
    """Read an ISO 8601 datetime from a command line; one without a zone is refused later, with advice."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a datetime such as 2026-11-23T09:00:00Z") from error


def check_zone(moment: datetime | None) -> None:
    """RangeRefused when the datetime has no zone."""
    if moment is not None and moment.tzinfo is None:
        raise RangeRefused(
            f"{moment.isoformat()} has no zone; write it with one: {moment.isoformat()}Z", ExitCode.NO_ZONE
        )


def topic_and_partitions(text: str) -> tuple[str, tuple[int, ...]]:
    """Read `TOPIC[:p,p]`; no partitions stand for all. RangeRefused for a partition that is no number."""
    topic, _, numbers = text.partition(":")
    try:
        return topic, tuple(int(number) for number in numbers.split(",") if number)
    except ValueError as error:
        raise RangeRefused(
            f"{numbers!r} is not a list of partition numbers such as 0,2", ExitCode.UNKNOWN_PARTITION
        ) from error


def reading_group(topic: str) -> str:
    """Return the group of this service that reads the topic. RangeRefused when there is none."""
    if group := group_of(topic):
        return group
    readable = sorted({name for topics in conf().groups.values() for name in topics})
    raise RangeRefused(
        f"{conf().service} has no handler for topic {topic!r}; it reads {', '.join(readable)}.", ExitCode.UNKNOWN_TOPIC
    )


def partitions_of(topic: str, wanted: tuple[int, ...], consumer: KafkaConsumer) -> list[TopicPartition]:
    """Return the wanted partitions, or all. RangeRefused when the broker knows no such topic or partition."""
    known = consumer.partitions_for_topic(topic)
    if not known:
        raise RangeRefused(f"the topic {topic!r} does not exist on the broker", ExitCode.UNKNOWN_TOPIC)
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise RangeRefused(f"{topic} has partitions {sorted(known)}, not {unknown}", ExitCode.UNKNOWN_PARTITION)
    return [TopicPartition(topic, partition) for partition in sorted(wanted or known)]


def offsets_at(
    moment: datetime, consumer: KafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the first offset at or after the moment, or where reading ends when there is none.

    Reading ends at the first open transaction, or after the last record.
    """
    found = consumer.offsets_for_times(dict.fromkeys(partitions, int(moment.timestamp() * 1000)))
    end = consumer.end_offsets(partitions)
    return {tp: found[tp].offset if found.get(tp) else end[tp] for tp in partitions}
