"""Which partitions a consumer has, and where each starts: at our own position, never at Kafka's offset."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition

from messaging.conf import conf
from messaging.inbox import crash_marks, log_changes, lost_commits, positions
from messaging.kafka.patches.private_calls import ASK_MS, committed_offsets, log_ends, seek_to, topic_id

logger = logging.getLogger(__name__)


Rows = Mapping[positions.Place, positions.Stored]


class Listener(ConsumerRebalanceListener):
    """Records rebalances. It runs on Kafka's I/O thread, so it does nothing else."""

    def __init__(self) -> None:
        self.notes: deque[tuple[bool, frozenset[TopicPartition]]] = deque()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self.notes.append((False, frozenset(revoked)))

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.notes.append((True, frozenset(assigned)))


@dataclass
class Stop:
    """A stopped partition: why, and when it is tried again (monotonic seconds)."""

    reason: str
    again_at: float
    delay: float


@dataclass
class Assignment:
    """The partitions of one consumer: placed (`at`), to be placed (`unplaced`), or `stopped`.

    `cautious`: another worker crashed there. `paused`: an operator's pause holds them. `revoked`: the group took them,
    and our name is still on them. `stored`: positions that this consumer has written.
    """

    consumer: KafkaConsumer
    group: str
    worker: str
    listener: Listener = field(default_factory=Listener)
    at: dict[TopicPartition, int] = field(default_factory=dict)
    unplaced: set[TopicPartition] = field(default_factory=set)
    stopped: dict[TopicPartition, Stop] = field(default_factory=dict)
    stored: dict[TopicPartition, int] = field(default_factory=dict)
    cautious: set[TopicPartition] = field(default_factory=set)
    paused: set[TopicPartition] = field(default_factory=set)
    revoked: set[TopicPartition] = field(default_factory=set)
    #: Positions that a worker wrote and did not commit to Kafka before it died: partition → position.
    uncommitted: dict[TopicPartition, int] = field(default_factory=dict)
    #: The topic's id when the partition was placed: the log to which `at` belongs.
    topics: dict[TopicPartition, UUID | None] = field(default_factory=dict)

    def apply_rebalance(self) -> None:
        """Apply the rebalances since the last call."""
        while self.listener.notes:
            assigned, partitions = self.listener.notes.popleft()
            for tp in partitions:
                self.at.pop(tp, None)
                self.stopped.pop(tp, None)
                self.stored.pop(tp, None)
                self.cautious.discard(tp)
                self.paused.discard(tp)
                (self.revoked.discard if assigned else self.revoked.add)(tp)
                (self.unplaced.add if assigned else self.unplaced.discard)(tp)

    def release_revoked(self) -> None:
        """Remove our name from the partitions that the group took away."""
        if self.revoked:
            crash_marks.release(self.group, {_place_of(tp) for tp in self.revoked}, self.worker)
            self.revoked.clear()

    def pause_topics(self, topics: set[str]) -> None:
        """Hold the partitions of paused topics; place those again that are no longer paused."""
        assigned = self.consumer.assignment()
        paused = {tp for tp in assigned if tp.topic in topics}
        for tp in paused - self.paused:
            self.at.pop(tp, None)
            self.unplaced.discard(tp)
            self.consumer.pause(tp)
            self.consumer.seek(tp, 0)
        self.unplaced |= (self.paused - paused) & assigned
        self.paused = paused

    def take_uncommitted(self) -> dict[TopicPartition, int]:
        """Return the positions to commit to Kafka, once."""
        uncommitted, self.uncommitted = self.uncommitted, {}
        return uncommitted

    def invalidate_all(self) -> None:
        """Place every partition again: the database may be another one now."""
        self.invalidate(list(self.at))
        self.compare_again()

    def compare_again(self) -> None:
        """Compare all positions for lost commits before anything is handled."""
        lost_commits.record_compared(self.worker, None)

    def invalidate(self, partitions: Iterable[TopicPartition]) -> None:
        """Place these partitions again, by the database, before any of their events is handled."""
        for tp in partitions:
            if self.at.pop(tp, None) is not None:
                self.unplaced.add(tp)

    def moved(self, ends: dict[TopicPartition, int]) -> None:
        """Record positions that were written to the database."""
        self.at.update(ends)
        self.stored.update(ends)

    def stop_outside(self, tp: TopicPartition, reason: str) -> None:
        """Stop the partition until its position moves: it is not in the log."""
        self.stop(tp, reason, self.at[tp])

    def stop_where_topic_was_made_again(self) -> None:
        """Stop the partitions whose topic has another id by now. The client's metadata tells; nothing is asked."""
        for tp, at in list(self.at.items()):
            if log_changes.is_another(self.topics.get(tp), topic_id(self.consumer, tp.topic)):
                self.stop_outside(tp, log_changes.made_again(at))

    def stop(self, tp: TopicPartition, reason: str, outside_at: int | None = None) -> None:
        """Stop the partition, store the reason for the operators, and try again after a growing delay.

        `outside_at`: the position is not in the log, so that trying again changes nothing until it moves.
        """
        before = self.stopped.get(tp)
        delay = conf().stopped_backoff.after(before.delay if before else 0.0)
        logger.critical("%s %s/%s is stopped: %s", self.group, tp.topic, tp.partition, reason)
        self.stopped[tp] = Stop(reason, time.monotonic() + delay, delay)
        self.at.pop(tp, None)
        self.unplaced.discard(tp)
        self.consumer.pause(tp)
        # Without a fetch position poll() would raise for this partition and return nothing of the others.
        self.consumer.seek(tp, 0)
        positions.stop(self.group, _place_of(tp), reason, outside_at)

    def compare(self) -> None:
        """Invalidate the partitions whose position in the database differs from ours (for an idle consumer)."""
        rows = positions.read_stored(self.group, map(_place_of, self.at))
        self.invalidate([tp for tp in self.at if not self._is_at(tp, rows.get(_place_of(tp)))])

    def _is_at(self, tp: TopicPartition, row: positions.Stored | None) -> bool:
        here = positions.Fetched(tp.topic, tp.partition, self.at[tp], self.at[tp], [], self.topics.get(tp))
        return row is not None and row.is_where(here)

    def retry_stopped(self) -> None:
        """Place stopped partitions again whose delay is over."""
        for tp, stop in self.stopped.items():
            if tp not in self.at and tp not in self.paused and time.monotonic() >= stop.again_at:
                self.unplaced.add(tp)

    def seek_to_positions(self) -> None:
        """Seek every unplaced partition to its position in our database. Creates the rows of new partitions.

        When any partition of the group shows that the database lost commits, all of them stop.
        """
        wanted = sorted(self.unplaced & self.consumer.assignment())
        if not wanted and lost_commits.has_compared(self.worker):
            return
        server = lost_commits.server_start()
        offsets = committed_offsets(self.consumer, sorted({*wanted, *self._of_group()}))
        begin = self.consumer.beginning_offsets(wanted, timeout_ms=ASK_MS)
        # Read after the group's offsets, which are committed later, and before the end, which only grows.
        rows = self._rows({tp: begin[tp] for tp in wanted if offsets[tp] is None}, offsets)
        if lost := self._lost(rows, offsets):
            for tp in {*wanted, *self.at}:
                self.stop(tp, lost)
            return
        # Not the last stable offset: a position beyond an open transaction is inside the log all the same.
        end = log_ends(self.consumer, wanted, ASK_MS)
        for tp in wanted:
            self._place(tp, rows.get(_place_of(tp)), offsets[tp], begin[tp], end[tp])
        placed = {_place_of(tp) for tp in wanted if tp in self.at}
        left_by_others = crash_marks.take_ownership(self.group, placed, self.worker)
        self.cautious |= {TopicPartition(*place) for place in left_by_others}
        self._store_topics(rows, placed)
        positions.clear_stop(self.group, [_place_of(tp) for tp in wanted if self.at.get(tp) == end[tp]])
        self._resume_after_loss()
        lost_commits.record_compared(self.worker, server)

    def _store_topics(self, rows: Rows, placed: Iterable[positions.Place]) -> None:
        """Store the log of positions that have none yet; a row of an earlier release takes the first that is seen."""
        missing = {place for place in placed if rows[place].topic_id is None}
        found = {place: known for place in missing if (known := self.topics[TopicPartition(*place)])}
        if found:
            positions.set_topics(self.group, found)

    def _resume_after_loss(self) -> None:
        """No commits are lost (any more): partitions that were stopped for that continue at once."""
        stopped = {tp for tp, stop in self.stopped.items() if lost_commits.is_about_lost_commits(stop.reason)}
        self.unplaced |= stopped - self.at.keys()
        lost_commits.clear(self.group)

    def _of_group(self) -> Iterator[TopicPartition]:
        """Yield every partition of the group, also those of other members."""
        for topic in self.consumer.subscription() or ():
            for number in self.consumer.partitions_for_topic(topic) or ():
                yield TopicPartition(topic, number)

    def _rows(self, starts: dict[TopicPartition, int], read: Iterable[TopicPartition]) -> Rows:
        with transaction.atomic():
            positions.create(self.group, {_place_of(tp): offset for tp, offset in starts.items()})
        return positions.read_stored(self.group, map(_place_of, read))

    def _lost(self, rows: Rows, offsets: Mapping[TopicPartition, int | None]) -> str | None:
        """Return where the database lost commits, and keep in the rows what shows it; None when nothing is lost."""
        seen = [(place := _place_of(tp), rows.get(place), offsets[tp], self.stored.get(tp)) for tp in offsets]
        return lost_commits.find(self.group, seen)

    def _place(
        self, tp: TopicPartition, row: positions.Stored | None, offset: int | None, begin: int, end: int
    ) -> None:
        if row is None:
            self.stop(tp, f"it has no position in the database and no offset in Kafka. {log_changes.MOVE_GROUP}")
            return
        topic = topic_id(self.consumer, tp.topic)
        if reason := log_changes.reason(row, topic, begin, end):
            self.stop(tp, reason, row.next_offset)
            return
        seek_to(self.consumer, tp, row.next_offset, row.leader_epoch)
        self.consumer.resume(tp)
        self.at[tp], self.topics[tp] = row.next_offset, row.topic_id or topic
        self.unplaced.discard(tp)
        if row.next_offset != offset:
            self.uncommitted[tp] = row.next_offset


def _place_of(tp: TopicPartition) -> positions.Place:
    return (tp.topic, tp.partition)
