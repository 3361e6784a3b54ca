"""What a replay would read: a topic's partitions, each from one offset to another, fixed when it is planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kafka import KafkaConsumer, TopicPartition

from messaging.errors import ExitCode, RangeRefused
from messaging.inbox import log_changes, positions
from messaging.inbox.positions import Place, Stored
from messaging.kafka.patches.private_calls import topic_id
from messaging.kafka.topics import partition_count
from messaging.replay.ranges import check_zone, offsets_at, partitions_of, reading_group


@dataclass(frozen=True, kw_only=True)
class ReplayRequest:
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

    request: ReplayRequest
    group: str
    ranges: dict[Place, tuple[int, int]] = field(default_factory=dict)
    #: How many partitions the topic has now.
    partitions: int = 0

    @property
    def offsets(self) -> int:
        """How many offsets the plan spans; compaction may have left fewer records."""
        return sum(stop - start for start, stop in self.ranges.values())


def plan_of(request: ReplayRequest, consumer: KafkaConsumer) -> Plan:
    """Freeze the range of a request. RangeRefused, saying what to do, when it can't be run as asked."""
    for moment in (request.from_datetime, request.until_datetime):
        check_zone(moment)
    group = reading_group(request.topic)
    partitions = partitions_of(request.topic, request.partitions, consumer)
    starts, stops = _starts(request, consumer, partitions), _stops(request, consumer, partitions, group)
    ranges = {(tp.topic, tp.partition): (starts[tp], stops[tp]) for tp in partitions if starts[tp] < stops[tp]}
    if not ranges:
        raise RangeRefused(
            "the range is empty: nothing between its start and its end was consumed yet", ExitCode.NOTHING_FOUND
        )
    return Plan(request, group, ranges, partition_count(consumer, request.topic))


def _starts(
    request: ReplayRequest, consumer: KafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    begin: dict[TopicPartition, int] = consumer.beginning_offsets(partitions)
    if request.from_datetime is not None:
        return offsets_at(request.from_datetime, consumer, partitions)
    if request.from_offset is None:
        return begin
    for tp in partitions:
        if request.from_offset < begin[tp]:
            raise RangeRefused(
                f"offset {request.from_offset} is before the start of {tp.topic}/{tp.partition}: the oldest record is"
                f" {begin[tp]}. Older ones are gone; start there, or with --from-earliest.",
                ExitCode.BEFORE_LOG_START,
            )
    return dict.fromkeys(partitions, request.from_offset)


def _stops(
    request: ReplayRequest, consumer: KafkaConsumer, partitions: list[TopicPartition], group: str
) -> dict[TopicPartition, int]:
    """Return the requested end, but never past the live position: the live consumer handles what follows.

    Nor past the first open transaction: a replay would wait for its end.
    """
    rows = positions.read_stored(group, [(tp.topic, tp.partition) for tp in partitions])
    _refuse_another_log(rows, consumer)
    live = {place: row.next_offset for place, row in rows.items()}
    end: dict[TopicPartition, int] = consumer.end_offsets(partitions)
    asked = end
    if request.until_offset is not None:
        asked = dict.fromkeys(partitions, request.until_offset)
    elif request.until_datetime is not None:
        asked = offsets_at(request.until_datetime, consumer, partitions)
    return {tp: min(asked[tp], end[tp], live.get((tp.topic, tp.partition), 0)) for tp in partitions}


def _refuse_another_log(rows: Mapping[Place, Stored], consumer: KafkaConsumer) -> None:
    """RangeRefused where the live position is of another log: nothing shows which events it has passed in this one."""
    for (topic, partition), row in rows.items():
        if row.outside or log_changes.is_another(row.topic_id, topic_id(consumer, topic)):
            raise RangeRefused(
                f"{topic}/{partition}: {row.outside or log_changes.made_again(row.next_offset)}. Then replay",
                ExitCode.OUTSIDE_LOG,
            )
