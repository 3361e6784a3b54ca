"""The consumer's loop: poll, handle the batch in one transaction, then commit the offsets to Kafka."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, connections
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError

from messaging.backoff import jittered
from messaging.conf import conf
from messaging.consumer.assignment import Assignment
from messaging.consumer.batch import handle_batch
from messaging.consumer.bisection import OutagesAtPositions, is_single, parts_of_batch
from messaging.consumer.freeze_detector import ticker
from messaging.consumer.offset_commits import OffsetCommits
from messaging.consumer.one_by_one import handle_one, split
from messaging.consumer.retries import is_false_outage, is_too_slow, outages_count
from messaging.error_kinds import Kind, described, kind_of
from messaging.errors import PartitionStopped
from messaging.inbox import crash_marks, log_changes, lost_commits
from messaging.inbox.positions import Fetched
from messaging.kafka.clients import CLOSE_MS, group_consumer
from messaging.kafka.patches.private_calls import fetch_positions, keep_joining
from messaging.kafka.patches.unreadable_batches import UnreadableBatch
from messaging.parking import pauses

logger = logging.getLogger(__name__)

#: How often a consumer, busy or idle, compares its positions with the database's, and passes offsets without records,
#: in seconds: one statement, and one transaction when there are such offsets.
COMPARE_SECONDS = 5.0
#: Longest time, in seconds, of handling one by one before the next poll, which keeps the group membership alive.
ONE_BY_ONE_SECONDS = 10.0
#: How often the consumer reads what is paused, in seconds.
PAUSES_SECONDS = 1.0


class Consumer:
    """A member of a consumer group, run by one thread."""

    def __init__(
        self, group: str, topics: list[str], make_client: Callable[[str], KafkaConsumer] = group_consumer
    ) -> None:
        self.group = group
        self.topics = topics
        self.worker = f"{crash_marks.process_name()}:{secrets.token_hex(4)}"
        self.progress = time.monotonic()
        self._make_client = make_client
        self._stopping = threading.Event()
        self._delay = 0.0
        self._commits = OffsetCommits()
        self._compared = time.monotonic()
        self._paused: set[str] = set()
        self._asked_for_pauses = 0.0
        self._connected: Any = None
        self._outages: OutagesAtPositions[TopicPartition] = OutagesAtPositions()

    def stop(self) -> None:
        """Ask run() to end after the current batch. Any thread may call this."""
        self._stopping.set()

    def run(self) -> None:
        """Consume until stop() is called. No outage or error of the database or the broker ends the loop."""
        ticker()
        lost_commits.record_compared(self.worker, None)
        try:
            if self._join():
                self._consume()
        finally:
            lost_commits.forget(self.worker)

    def _consume(self) -> None:
        try:
            while not self._stopping.is_set():
                self._step_or_rest()
        finally:
            self._close()

    def _join(self) -> bool:
        """Build the client and subscribe, as soon as a broker answers. False when stopped before that."""
        while not self._stopping.is_set():
            try:
                self.client = self._make_client(self.group)
                self.assignment = Assignment(self.client, self.group, self.worker)
                self.client.subscribe(self.topics, listener=self.assignment.listener)
                return True
            except KafkaError as error:
                logger.warning("%s: no broker answers; the consumer joins its group later: %r", self.group, error)
                self._stopping.wait(conf().outage_pause_seconds)
            self.progress = time.monotonic()
        return False

    def _step_or_rest(self) -> None:
        try:
            self._step()
            self._delay = 0.0
        except Exception as error:
            self.assignment.invalidate_all()
            self._delay = conf().outage_backoff.after(self._delay)
            kind = kind_of(error)
            if kind is Kind.MOVED:
                self._delay = self._asked_for_pauses = 0.0
            trace = kind is Kind.BUG
            logger.warning("%s: next try in %.1f s: %s", self.group, self._delay, described(error), exc_info=trace)
            self._rest(jittered(self._delay))
        self.progress = time.monotonic()

    def _step(self) -> None:
        close_old_connections()
        self._notice_new_connection()
        self.assignment.apply_rebalance()
        self.assignment.release_revoked()
        self.assignment.pause_topics(self._paused_topics())
        self.assignment.retry_stopped()
        self.assignment.seek_to_positions()
        self._commits.uncommitted.update(self.assignment.take_uncommitted())
        batch = self._poll()
        if batch:
            self._handle(batch)
        if time.monotonic() - self._compared > COMPARE_SECONDS:
            self._compared = time.monotonic()
            self.assignment.compare()
            self._skip_offsets_without_records()
        self._commit_offsets()

    def _notice_new_connection(self) -> None:
        """Compare all positions again when Django has reconnected: it may be to another database server."""
        connection.close_if_health_check_failed()
        connection.ensure_connection()
        if connection.connection is not self._connected:
            self.assignment.compare_again()
            self._connected = connection.connection

    def _paused_topics(self) -> set[str]:
        """Return what is paused, at most a second old; the batch's transaction checks again."""
        if time.monotonic() - self._asked_for_pauses > PAUSES_SECONDS:
            self._paused = pauses.paused_topics()
            self._asked_for_pauses = time.monotonic()
        return self._paused

    def _poll(self) -> list[Fetched]:
        """Return the records of partitions whose position is known; others are fetched again later."""
        keep_joining(self.client)
        try:
            polled = self.client.poll(timeout_ms=self._commits.poll_ms(conf().poll_ms))
        except NoOffsetForPartitionError:
            polled = {}
        except OffsetOutOfRangeError as error:
            self.assignment.apply_rebalance()
            self._out_of_range(error)
            polled = {}
        except LogTruncationError as error:
            self.assignment.apply_rebalance()
            self._cut(error)
            polled = {}
        except UnreadableBatch as error:
            self.assignment.apply_rebalance()
            self._unreadable(error)
            polled = {}
        self.assignment.apply_rebalance()
        self.assignment.stop_where_topic_was_made_again()
        batch = []
        for tp, records in polled.items():
            start = self.assignment.at.get(tp)
            if records and start is not None:
                batch.append(self._fetched(tp, start, records[-1].offset + 1, records, records[-1].leader_epoch))
        return sorted(batch, key=lambda fetched: fetched.place)

    def _fetched(self, tp: TopicPartition, start: int, end: int, records: list[Any], epoch: int) -> Fetched:
        return Fetched(tp.topic, tp.partition, start, end, records, self.assignment.topics.get(tp), epoch)

    def _skip_offsets_without_records(self) -> None:
        """Move positions past offsets for which Kafka returns no record: markers, aborted and compacted records.

        Everything that was polled is handled by now, so nothing is passed that is still to be handled.
        """
        nothing = [
            self._fetched(tp, at, read.offset, [], read.leader_epoch)
            for tp, read in fetch_positions(self.client).items()
            if (at := self.assignment.at.get(tp)) is not None and read.offset > at
        ]
        if nothing:
            handle_batch(self.group, nothing)
            self._done(nothing)

    def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        for tp, offset in error.args[0].items():
            at = self.assignment.at.get(tp)
            if at is not None:
                # Elsewhere than at our position: that one may be in the log, so it is tried again.
                self.assignment.stop(tp, log_changes.not_there(at), at if at == offset else None)

    def _cut(self, error: LogTruncationError) -> None:
        """Stop the partitions whose log has lost what was handled. The client says so once, and would continue."""
        for tp, since in error.divergent_offsets.items():
            if (at := self.assignment.at.get(tp)) is not None:
                self.assignment.stop_outside(tp, log_changes.cut(at, since and since.offset))

    def _unreadable(self, error: UnreadableBatch) -> None:
        if error.partition in self.assignment.at:
            self.assignment.stop(error.partition, str(error))

    def _handle(self, batch: list[Fetched]) -> None:
        """Handle the batch as a whole; one by one, with crash marks, where another worker crashed."""
        cautious = [fetched for fetched in batch if _partition(fetched) in self.assignment.cautious]
        trusted = [fetched for fetched in batch if fetched not in cautious]
        if trusted:
            self._handle_together(trusted)
        if cautious:
            self._handle_one_by_one(cautious, marked=True)
            self.assignment.cautious -= {tp for tp, end in _ends(cautious).items() if self.assignment.at.get(tp) == end}

    def _handle_together(self, batch: list[Fetched]) -> None:
        """Handle the batch in one transaction; when that fails, by halves, until what fails is alone.

        After many outages at a position where the database takes writes, outages count as failures.
        """
        with outages_count(self._outages.are_many(_starts(batch))):
            took = self._seconds_until_failure(batch)
            if took is not None:
                self._handle_parts(parts_of_batch(batch, took), marked=False)

    def _seconds_until_failure(self, batch: list[Fetched]) -> float | None:
        """Handle a batch or a part of it in one transaction; None when that worked. Outages pass through."""
        begin = time.monotonic()
        try:
            handle_batch(self.group, batch)
        except Exception as error:
            kind = kind_of(error)
            if kind is Kind.MOVED or (kind is Kind.OUTAGE and not is_too_slow(begin) and not is_false_outage(error)):
                self._note_outage(kind, batch)
                raise
            logger.warning("%s: a batch failed; the consumer takes it apart: %s", self.group, described(error))
            close_old_connections()
            return time.monotonic() - begin
        self._done(batch)
        return None

    def _handle_one_by_one(self, batch: list[Fetched], *, marked: bool) -> None:
        self._handle_parts([[one] for one in split(batch)], marked=marked)

    def _handle_parts(self, parts: list[list[Fetched]], *, marked: bool) -> None:
        """Handle the parts in order. A partition that cannot continue is stopped; the others continue."""
        stopped: set[TopicPartition] = set()
        until = time.monotonic() + ONE_BY_ONE_SECONDS
        left = parts[::-1]
        while left:
            part = [fetched for fetched in left.pop() if _partition(fetched) not in stopped]
            if time.monotonic() > until or self._stopping.is_set():
                self.assignment.invalidate(_partition(fetched) for each in (part, *left) for fetched in each)
                break
            if is_single(part):
                stopped |= self._handle_single(part[0], marked=marked)
            elif part and (took := self._seconds_until_failure(part)) is not None:
                left += parts_of_batch(part, took)[::-1]
            self.progress = time.monotonic()

    def _handle_single(self, one: Fetched, *, marked: bool) -> set[TopicPartition]:
        """Handle one record; return its partition if that has to stop."""
        try:
            handle_one(self.group, one, deaths=self._deaths(one) if marked else 0)
        except PartitionStopped as error:
            self.assignment.stop(_partition(one), str(error))
            return {_partition(one)}
        except Exception as error:
            self._note_outage(kind_of(error), [one])
            raise
        self._done([one])
        return set()

    def _note_outage(self, kind: Kind, batch: list[Fetched]) -> None:
        if kind is Kind.OUTAGE:
            self._outages.note(_starts(batch))

    def _deaths(self, one: Fetched) -> int:
        """Mark the event; return how many processes died at it when that is DEATHS_ALLOWED or more, else 0."""
        deaths = crash_marks.mark(self.group, one.place, one.records[0].offset, self.worker)
        return deaths if deaths >= conf().deaths_allowed else 0

    def _done(self, batch: list[Fetched]) -> None:
        ends = _ends(batch)
        self.assignment.moved(ends)
        self._outages.clear(ends)
        for tp in ends:
            self.assignment.stopped.pop(tp, None)
        self._commits.uncommitted.update(ends)

    def _commit_offsets(self, *, now: bool = False) -> None:
        self._commits.commit(self.client, self.assignment.at, now=now)

    def _rest(self, seconds: float) -> None:
        """Consume nothing for a while, but keep polling, which keeps the group membership alive."""
        until = time.monotonic() + seconds
        while not self._stopping.is_set() and time.monotonic() < until:
            try:
                self.assignment.apply_rebalance()
                self.client.pause(*self.client.assignment())
                keep_joining(self.client)
                self.client.poll(timeout_ms=int(max(50, min(500, 1000 * (until - time.monotonic())))))
            except (KafkaError, KeyError, UnreadableBatch) as error:
                logger.info("%s: poll() failed while the consumer waited: %r", self.group, error)
                time.sleep(0.2)
        self.assignment.apply_rebalance()

    def _close(self) -> None:
        try:
            self._commit_offsets(now=True)
        except KafkaError as error:
            logger.warning(
                "%s: Kafka has not stored the last offsets (nothing is lost; the database has the position): %r",
                self.group,
                error,
            )
        self._release_everything()
        self.client.close(timeout_ms=CLOSE_MS)
        connections.close_all()

    def _release_everything(self) -> None:
        """Release the partitions: the next worker sees a clean stop. When this fails, it handles them carefully."""
        try:
            self.assignment.apply_rebalance()
            self.assignment.revoked |= self.client.assignment()
            self.assignment.release_revoked()
        except DatabaseError as error:
            logger.warning(
                "%s: the database did not release the partitions; the next worker starts there one by one: %r",
                self.group,
                error,
            )


def _ends(batch: list[Fetched]) -> dict[TopicPartition, int]:
    return {_partition(fetched): fetched.end for fetched in batch}


def _starts(batch: list[Fetched]) -> list[tuple[TopicPartition, int]]:
    return [(_partition(fetched), fetched.start) for fetched in batch]


def _partition(fetched: Fetched) -> TopicPartition:
    return TopicPartition(fetched.topic, fetched.partition)
