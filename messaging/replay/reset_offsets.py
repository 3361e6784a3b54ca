"""Moves a consumer group: its position in the service's database, which decides, and its offset committed to Kafka.

Both must move: a position behind the committed offset looks like lost commits, and stops the service. To move a
partition back, Kafka comes first; to move it forward, the database comes first. So if this process dies in between, the
position is never behind, and running the command again completes the move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import NoError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

from messaging import audit_log
from messaging.errors import ExitCode, RangeRefused
from messaging.inbox import log_changes, lost_commits, positions
from messaging.inbox.positions import Place, Stored
from messaging.kafka.clients import admin, reader
from messaging.kafka.patches.private_calls import diverging, log_ends, topic_id
from messaging.kafka.topics import partition_count
from messaging.models import ParkedKey
from messaging.replay.plan import Plan, ReplayRequest
from messaging.replay.ranges import check_zone, offsets_at, partitions_of, reading_group
from messaging.replay.run import ReplayOutcome, replay, replay_lock

VERB = "reset_consumer_offsets"


@dataclass(frozen=True, kw_only=True)
class ResetRequest:
    """Where to move: to an offset, a datetime (with a zone), by so many from the position, or where reading ends.

    One of them; with none it is the log's start. No `partitions` stand for all.
    """

    topic: str
    partitions: tuple[int, ...] = ()
    offset: int | None = None
    moment: datetime | None = None
    shift: int | None = None
    latest: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """One partition's move to the offset `to`. `row` is our position, `committed` Kafka's offset; None: none.

    `end` is where reading ends now: at the first open transaction, or after the last record. `known`: up to where the
    log is the one in which the position was; None: all of it. `topic_id` names the log that is there now. `lost_until`:
    where a worker has seen the group before the database lost commits.
    """

    place: Place
    row: int | None
    committed: int | None
    begin: int
    end: int
    to: int
    known: int | None = None
    topic_id: UUID | None = None
    lost_until: int | None = None

    @property
    def name(self) -> str:
        return f"{self.place[0]}/{self.place[1]}"

    @property
    def skipped(self) -> int:
        """How many offsets are passed without being handled."""
        return max(0, self.to - max(self.handled, self.begin))

    @property
    def handled(self) -> int:
        """Return up to where the log's events were handled."""
        at = self.begin if self.row is None else self.row
        return at if self.known is None else min(at, self.known)

    @property
    def loss(self) -> str | None:
        """Why this looks as if the database had lost commits, or None."""
        return lost_commits.reason(self.name, self.row, self.committed, self.lost_until)

    @property
    def goes_back(self) -> bool:
        """Whether Kafka's offset must move before the position."""
        return self.committed is not None and self.to < self.committed

    @property
    def is_needed(self) -> bool:
        return self.known is not None or self.lost_until is not None or not self.row == self.committed == self.to


def plan(request: ResetRequest) -> list[Move]:
    """Return each partition's move. RangeRefused when the request can't be; KafkaError when no broker answers."""
    check_zone(request.moment)
    group = reading_group(request.topic)
    with reader() as consumer, admin() as client:
        partitions = partitions_of(request.topic, request.partitions, consumer)
        committed = client.list_group_offsets({group: partitions})[group]
        begin, end = consumer.beginning_offsets(partitions), log_ends(consumer, partitions)
        readable = consumer.end_offsets(partitions)
        stored = positions.read_stored(group, [_place(tp) for tp in partitions])
        rows = {place: row.next_offset for place, row in stored.items()}
        wanted = offsets_at(request.moment, consumer, partitions) if request.moment else {}
        topic = topic_id(consumer, request.topic)
        known = _known(stored, topic, begin, end, consumer)
    return [
        Move(
            _place(tp),
            rows.get(_place(tp)),
            committed[tp].offset if tp in committed and committed[tp].offset >= 0 else None,
            begin[tp],
            readable[tp],
            _inside(tp, wanted.get(tp, _target(request, tp, rows, begin, readable)), begin[tp], end[tp]),
            known.get(_place(tp)),
            topic,
            stored[_place(tp)].lost_until if _place(tp) in stored else None,
        )
        for tp in partitions
    ]


def _known(
    rows: Mapping[Place, Stored], topic: UUID | None, begin: Any, end: Any, consumer: KafkaConsumer
) -> dict[Place, int]:
    """Return up to where the logs are those of the positions, where they are not whole: nowhere, or until a cut."""
    places = {TopicPartition(*place): row for place, row in rows.items()}
    cut = diverging(consumer, {tp: (row.next_offset, row.leader_epoch) for tp, row in places.items()})
    gone = {tp for tp, row in places.items() if log_changes.reason(row, topic, begin[tp], end[tp])}
    made_again = {tp for tp, row in places.items() if log_changes.is_another(row.topic_id, topic)}
    nowhere = {tp: begin[tp] for tp in (gone | cut.keys())}
    since = {tp: offset for tp, offset in cut.items() if offset is not None and tp not in made_again}
    return {_place(tp): offset for tp, offset in (nowhere | since).items()}


def _place(tp: TopicPartition) -> Place:
    return (tp.topic, tp.partition)


def _target(request: ResetRequest, tp: TopicPartition, rows: dict[Place, int], begin: Any, end: Any) -> int:
    if request.offset is not None:
        return request.offset
    if request.shift is not None:
        return _row_of(tp, rows) + request.shift
    return int((end if request.latest else begin)[tp])


def _row_of(tp: TopicPartition, rows: dict[Place, int]) -> int:
    if _place(tp) not in rows:
        raise RangeRefused(
            f"{tp.topic}/{tp.partition} has no position to shift; name an offset, or --from-earliest",
            ExitCode.OUTSIDE_LOG,
        )
    return rows[_place(tp)]


def _inside(tp: TopicPartition, offset: int, begin: int, end: int) -> int:
    if not begin <= offset <= end:
        raise RangeRefused(
            f"{tp.topic}/{tp.partition} cannot move to {offset}: its log has the offsets {begin} to {end}",
            ExitCode.OUTSIDE_LOG,
        )
    return offset


def check(moves: Sequence[Move], *, allow_skip: bool, allow_reorder: bool, accept_lost_commits: bool) -> None:
    """RangeRefused when a move needs a consent that was not given."""
    for move in moves:
        if move.loss and not accept_lost_commits:
            raise RangeRefused(
                f"{move.loss}. If the right data can be restored, do that. --accept-lost-commits takes the position"
                " as it is: use it only if nothing was lost, or you have repaired what was",
                ExitCode.REFUSED,
            )
        if move.skipped and not allow_skip:
            raise RangeRefused(
                f"{move.name} would pass {move.skipped} offsets: the live consumer will never handle their"
                " events; --allow-skip permits it",
                ExitCode.REFUSED,
            )
    if not allow_reorder and (count := _reordered(moves)):
        raise RangeRefused(
            f"{count} unhandled events would be applied after later events of their key, out of order. --allow-reorder"
            " permits it. replay_topic applies only the events that are still in order",
            ExitCode.REFUSED,
        )


def _reordered(moves: Sequence[Move]) -> int:
    """Read what the group would read again; return how many (event, handler) would take effect out of order."""
    ranges = {
        move.place: (move.to, min(move.handled, move.end))
        for move in moves
        if move.row is not None and move.to < move.handled
    }
    if not ranges:
        return 0
    topic, outcome = moves[0].place[0], ReplayOutcome()
    with reader() as consumer, replay_lock(topic):
        again = Plan(ReplayRequest(topic=topic), reading_group(topic), ranges, partition_count(consumer, topic))
        replay(again, consumer, outcome, execute=False, progress=lambda passed: None)
    return outcome.refused.total()


def run(moves: Sequence[Move], *, actor: str, reason: str) -> None:
    """Move the group of the moves' topic, and write it to the audit log.

    ReasonMissing without a reason. RangeRefused when the group has members, or its position has changed since the plan.
    KafkaError and DatabaseError may leave it half done: planning and running it again completes it.
    """
    audit_log.check_reason(reason)
    group = reading_group(moves[0].place[0])
    with admin() as client:
        _refuse_active(client, group)
        _commit(client, group, [move for move in moves if move.goes_back])
        _write(group, moves, actor, reason)
        with suppress(RangeRefused):  # a worker that joined meanwhile has the new position, and commits it itself
            _commit(client, group, [move for move in moves if not move.goes_back])


def _refuse_active(client: Any, group: str) -> None:
    if members := client.describe_groups([group])[group]["members"]:
        raise RangeRefused(
            f"the group {group} has {len(members)} members: stop its workers first. A killed worker counts as a"
            " member until its session times out",
            ExitCode.GROUP_ACTIVE,
        )


def _commit(client: Any, group: str, moves: Sequence[Move]) -> None:
    """Commit the new offsets to Kafka. The broker refuses it while the group has members."""
    offsets = {TopicPartition(*move.place): OffsetAndMetadata(move.to, "", -1) for move in moves}
    if not offsets:
        return
    for tp, error in client.alter_group_offsets(group, offsets).items():
        if error is UnknownMemberIdError:
            raise RangeRefused(f"the group {group} has members again: stop its workers first", ExitCode.GROUP_ACTIVE)
        if error is not NoError:
            raise error(f"the offset of {tp.topic}/{tp.partition}")


def _write(group: str, moves: Sequence[Move], actor: str, reason: str) -> None:
    with transaction.atomic():
        here = positions.lock(group, [move.place for move in moves])
        for move in moves:
            if here.get(move.place) != move.row:
                raise RangeRefused(
                    f"{move.name} is at {here.get(move.place)} and was planned from {move.row}: run it again",
                    ExitCode.GROUP_ACTIVE,
                )
        _refuse_parked(group, moves)
        targets = {move.place: move.to for move in moves}
        positions.create(group, targets)
        positions.move(group, targets)
        positions.set_topics(group, {each.place: each.topic_id for each in moves if each.topic_id}, replace=True)
        results = [
            audit_log.ActionResult(("", move.name), "done", f"{move.row} → {move.to}; {_committed_text(move)}")
            for move in moves
        ]
        audit_log.write(VERB, actor, reason, results)


def _refuse_parked(group: str, moves: Sequence[Move]) -> None:
    """RangeRefused when a queue would mix events of two logs, whose offsets do not say which came first."""
    for move in moves:
        topic, partition = move.place
        keys = ParkedKey.objects.filter(consumer_group=group, topic=topic, partition=partition).count()
        if move.known is not None and keys:
            raise RangeRefused(
                f"{move.name} has another log now, and {keys} parked keys with events of the old one, which new events"
                " of these keys would overtake. Retry or skip them first (list_parked, list_dead_letters)",
                ExitCode.REFUSED,
            )


def _committed_text(move: Move) -> str:
    return f"Kafka had {'no offset' if move.committed is None else move.committed}"
