"""What a replay would read: the partitions of a topic, each from one offset to another, frozen when it is planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from kafka import KafkaConsumer, TopicPartition

from messaging import positions
from messaging.conf import conf
from messaging.errors import ReplayRefused
from messaging.positions import Place


class Exit(IntEnum):
    """Exit codes of replay_topic; 0 is success, 1 an unforeseen error, 2 a wrong call."""

    UNKNOWN_TOPIC = 3
    UNKNOWN_PARTITION = 4
    EMPTY_RANGE = 5
    NO_ZONE = 6
    BEFORE_LOG_START = 7
    NO_REASON = 8
    UNKNOWN_HANDLER = 9
    BUSY = 10
    INCOMPLETE = 11


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for. Offsets are per partition; datetimes must have a zone.

    Without a start it is the log's start, without an end the live position.
    """

    topic: str
    partitions: tuple[int, ...] = ()
    from_offset: int | None = None
    from_datetime: datetime | None = None
    until_offset: int | None = None
    until_datetime: datetime | None = None
    key: str | None = None
    handler: str | None = None


@dataclass(frozen=True)
class Plan:
    """Per partition the first offset and the one to stop before; empty partitions are left out."""

    request: Request
    group: str
    ranges: dict[Place, tuple[int, int]] = field(default_factory=dict)

    @property
    def offsets(self) -> int:
        """How many offsets the plan spans; compaction may have left fewer records."""
        return sum(stop - start for start, stop in self.ranges.values())


def group_of(topic: str) -> str:
    """Return the group of this service that reads the topic. ReplayRefused when there is none."""
    for group, topics in conf().groups.items():
        if topic in topics:
            return group
    readable = sorted({name for topics in conf().groups.values() for name in topics})
    raise ReplayRefused(
        f"{conf().service} has no handler for topic {topic!r}; it reads {', '.join(readable)}.", Exit.UNKNOWN_TOPIC
    )


def plan_of(request: Request, consumer: KafkaConsumer) -> Plan:
    """Freeze the range of a request. ReplayRefused, saying what to do, when it can't be run as asked."""
    for moment in (request.from_datetime, request.until_datetime):
        if moment is not None and moment.tzinfo is None:
            raise ReplayRefused(
                f"{moment.isoformat()} has no zone; write it with one: {moment.isoformat()}Z", Exit.NO_ZONE
            )
    group = group_of(request.topic)
    partitions = _partitions(request, consumer)
    starts, stops = _starts(request, consumer, partitions), _stops(request, consumer, partitions, group)
    ranges = {(tp.topic, tp.partition): (starts[tp], stops[tp]) for tp in partitions if starts[tp] < stops[tp]}
    if not ranges:
        raise ReplayRefused(
            "the range is empty: nothing between its start and its end was consumed yet", Exit.EMPTY_RANGE
        )
    return Plan(request, group, ranges)


def _partitions(request: Request, consumer: KafkaConsumer) -> list[TopicPartition]:
    known = consumer.partitions_for_topic(request.topic)
    if not known:
        raise ReplayRefused(f"the topic {request.topic!r} does not exist on the broker", Exit.UNKNOWN_TOPIC)
    unknown = sorted(set(request.partitions) - known)
    if unknown:
        raise ReplayRefused(f"{request.topic} has partitions {sorted(known)}, not {unknown}", Exit.UNKNOWN_PARTITION)
    return [TopicPartition(request.topic, partition) for partition in sorted(request.partitions or known)]


def _starts(request: Request, consumer: KafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    begin: dict[TopicPartition, int] = consumer.beginning_offsets(partitions)
    if request.from_datetime is not None:
        return _at(request.from_datetime, consumer, partitions)
    if request.from_offset is None:
        return begin
    for tp in partitions:
        if request.from_offset < begin[tp]:
            raise ReplayRefused(
                f"offset {request.from_offset} is before the start of {tp.topic}/{tp.partition}: the oldest record is"
                f" {begin[tp]}. Older ones are gone; start there, or with --from-earliest.",
                Exit.BEFORE_LOG_START,
            )
    return dict.fromkeys(partitions, request.from_offset)


def _stops(
    request: Request, consumer: KafkaConsumer, partitions: list[TopicPartition], group: str
) -> dict[TopicPartition, int]:
    """The end that is asked for, but never past the live position: what lies there is the live consumer's."""
    live = positions.read(group, [(tp.topic, tp.partition) for tp in partitions])
    end: dict[TopicPartition, int] = consumer.end_offsets(partitions)
    asked = end
    if request.until_offset is not None:
        asked = dict.fromkeys(partitions, request.until_offset)
    elif request.until_datetime is not None:
        asked = _at(request.until_datetime, consumer, partitions)
    return {tp: min(asked[tp], end[tp], live.get((tp.topic, tp.partition), 0)) for tp in partitions}


def _at(moment: datetime, consumer: KafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Return the first offset at or after the moment, or the end of the log when there is none."""
    found = consumer.offsets_for_times(dict.fromkeys(partitions, int(moment.timestamp() * 1000)))
    end = consumer.end_offsets(partitions)
    return {tp: found[tp].offset if found.get(tp) else end[tp] for tp in partitions}
