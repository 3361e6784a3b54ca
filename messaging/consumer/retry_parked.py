"""Retries the events of parked keys in order, and unparks a key when its queue is empty.

One event a transaction. Each transaction locks the key and then reads the head, so it sees what another worker, an
operator or the consumer did. The same transaction writes the outcome, and marks the next event. So a crash mark is
committed before each event: one at which several processes in a row die becomes a dead letter here too. Several keys
have their turns at once (messaging.consumer.parked_run); one whose mark another process left has its turn alone.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from django.db import Error as DatabaseError
from django.db import close_old_connections, transaction

from messaging.backoff import Backoff, Delayed
from messaging.conf import conf, group_of
from messaging.consumer import retries
from messaging.consumer.bisection import OutagesAtPositions
from messaging.consumer.key_lock import key_lock as _key_lock
from messaging.consumer.parked_run import Run
from messaging.consumer.queue_head import Head, head_of
from messaging.database import takes_writes
from messaging.error_kinds import Kind, described, kind_of
from messaging.errors import SlowAttempt
from messaging.inbox import crash_marks, lost_commits
from messaging.inbox.decoding import Poison, Work, read
from messaging.kafka.records import type_of, unpacked
from messaging.outbox.publish import gather
from messaging.parking import dead_letters, due_times, pauses
from messaging.parking.keys import Parked, lock_exclusively, unpark
from messaging.registry import Handler

logger = logging.getLogger(__name__)

_running = threading.Lock()
#: Thread → a new object for each event that it handles; the thread that has been longest at its event comes first.
_at_work: dict[int, object] = {}
#: Delays, in seconds, of a key at which something other than its handlers failed, and the keys that wait so.
FAILING_BACKOFF = Backoff(5.0, 300.0)
_failing: Delayed[Parked] = Delayed(FAILING_BACKOFF, forget_after=FAILING_BACKOFF.cap)
#: Keys whose attempt was cut off, and delays, in seconds, before their next hurried turn.
_cut_off: dict[Parked, None] = {}
CUT_OFF_BACKOFF = Backoff(5.0, 300.0)
_hurried: Delayed[Parked] = Delayed(CUT_OFF_BACKOFF, forget_after=CUT_OFF_BACKOFF.cap)
_delays = threading.Lock()
#: Outages in a row at each key, and after how many an attempt counts while the database takes writes.
_outages: OutagesAtPositions[Parked] = OutagesAtPositions()
OUTAGES_AT_ONE_KEY = 3
#: Whether this process left crash marks that it could not clear, because its database was away.
_left_marks = False

#: Longest time of one run, in seconds; the next run continues.
RUN_SECONDS = 5.0
#: Events of one key before the next key's turn.
EVENTS_IN_A_TURN = 100
#: How long, in seconds, an event may wait for a handler that this process lacks: newer code may have it.
NEW_CODE_SECONDS = 3600.0


class StepResult(Enum):
    """What a transaction found: the queue is empty, or there is nothing to do for now."""

    EMPTY = "empty"
    NOTHING_DUE = "nothing due"


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a key's head, and what follows it: the next event, which is marked, or a result."""

    ended: bool
    next: Head | StepResult


NOTHING_DONE = Step(False, StepResult.NOTHING_DUE)


def retry_due() -> int:
    """Retry due events for about RUN_SECONDS; return how many ended. Safe to run twice at once.

    A second run in the same process returns at once. An outage ends the run; the next one finds the same work.
    """
    if not _running.acquire(blocking=False):
        return 0
    try:
        _progressed()
        if not lost_commits.parked_keys_may_run():
            return 0
        _clear_left_marks()
        ended = _retry_left_marked(time.monotonic() + RUN_SECONDS)
        return ended + Run(_Turns(), seconds=RUN_SECONDS, waiting=_cut_off).run()
    except Exception as error:
        if kind_of(error) is not Kind.OUTAGE:
            raise
        logger.warning("outage: parked keys wait, and no attempt is counted: %s", described(error))
        return 0
    finally:
        _rested()
        _running.release()


def progress() -> object | None:
    """Return an object that changes whenever the slowest thread of this process's run makes progress; None without."""
    return next(iter(list(_at_work.values())), None)


def _progressed() -> None:
    _rested()
    _at_work[threading.get_ident()] = object()


def _rested() -> None:
    _at_work.pop(threading.get_ident(), None)


class _Turns:
    """What a run does with keys: find those that are due, and give one its turn."""

    def find(self, without: set[Parked]) -> list[Parked]:
        return [key.place for key in _due(without) if not key.left_marked]

    def give(self, key: Parked, *, hurried: bool) -> int | None:
        try:
            return _retry_or_log(*key, hurried=hurried)
        finally:
            _rested()


def _retry_left_marked(until: float) -> int:
    """Give keys that another process has left their turns, alone: were it to end us too, nothing else is suspected."""
    left = [key.place for key in _due(set()) if key.left_marked]
    return sum(_retry_or_log(*key) or 0 for key in left if time.monotonic() < until)


def _retry_or_log(topic: str, key: str, *, hurried: bool = False) -> int | None:
    """Give a key its turn. A failure outside a handler, such as a lock timeout, holds up no other key."""
    try:
        with retries.outages_count(_outages.are_many([((topic, key), 0)], OUTAGES_AT_ONE_KEY)):
            handled = retry_key(topic, key, hurried=hurried)
    except Exception as error:
        if hurried and retries.was_cut_off(error):
            with _delays:
                _hurried.failed((topic, key))
            return None
        _set_aside(topic, key, error)
        if kind_of(error) is Kind.OUTAGE:
            _outages.note([((topic, key), 0)])
            if not takes_writes():
                raise
        return 0
    _outages.clear([(topic, key)])
    if handled:
        with _delays:
            _failing.worked([(topic, key)])
            _hurried.worked([(topic, key)])
    return handled


def _set_aside(topic: str, key: str, why: object) -> None:
    """Try the key again after a delay that grows; other keys continue."""
    with _delays:
        delay = _failing.failed((topic, key))
    logger.warning("%s: the key %s is retried in %.0f s: %s", topic, key, delay, described(why))


def due() -> list[Parked]:
    """Return the parked keys (topic, key) whose head is due, or whose queue is empty."""
    return [key.place for key in _due(set())]


def _due(without: set[Parked]) -> list[due_times.DueKey]:
    _progressed()
    with _delays:
        without = {*_failing.now(), *_hurried.now(), *without}
    try:
        return due_times.due_keys(pauses.paused_topics(), without)
    finally:
        _rested()


def retry_key(topic: str, key: str, *, hurried: bool = False) -> int:
    """Retry a key's events in order until one is not due or fails; return how many ended.

    One process at a time does this, so another process's mark belongs to a process that died. `hurried`: AttemptCutOff
    when an attempt waits for a lock, or for a slow statement.
    """
    with _key_lock(topic, key) as mine:
        return _retry_locked(topic, key, hurried) if mine else 0


def _retry_locked(topic: str, key: str, hurried: bool) -> int:
    ended, head = 0, _mark_head(topic, key)
    while isinstance(head, Head):
        step = _one_event(head, last=ended == EVENTS_IN_A_TURN - 1, hurried=hurried)
        ended, head = ended + step.ended, step.next
    if head is StepResult.EMPTY and unpark(topic, key):
        logger.info("%s: the key %s is unparked", topic, key)
    return ended


def _one_event(marked: Head, *, last: bool, hurried: bool) -> Step:
    """Try the marked head. `last`: do not mark the event that follows."""
    _progressed()
    step = None
    try:
        try:
            step = _in_transaction(marked, {}, last=last, hurried=hurried)
        except SlowAttempt as slow:
            close_old_connections()
            step = _in_transaction(marked, {slow.handler: slow}, last=last, hurried=False)
    finally:
        if step is None:
            close_old_connections()
        if step is None or not step.ended:
            _clear_mark(marked.entry.topic, marked.entry.key)
    return step


def _mark_head(topic: str, key: str) -> Head | StepResult:
    """Mark the key's head; it becomes a dead letter when too many processes died at it."""
    _progressed()
    with transaction.atomic(), gather():
        head = _head_to_try(topic, key)
        if isinstance(head, StepResult):
            return head
        deaths = crash_marks.mark_parked(head.entry)
        if deaths < conf().deaths_allowed:
            return head
        dead_letters.keep([retries.killed(head.entry, type_of(unpacked(head.raw)), head.raw, deaths)])
        due_times.settle(topic, key)
    return StepResult.NOTHING_DUE


def _in_transaction(marked: Head, slow: dict[str, SlowAttempt], *, last: bool, hurried: bool) -> Step:
    topic, key = marked.entry.topic, marked.entry.key
    with transaction.atomic(), gather():
        head = _head_to_try(topic, key)
        if isinstance(head, StepResult):
            return replace(NOTHING_DONE, next=head)
        if head.entry != marked.entry:  # another process handled it meanwhile
            return NOTHING_DONE
        if hurried:
            retries.hurry()
        ended = _try(head, slow, hurried)
        return Step(ended, _mark_next(topic, key, ended and not last))


def _mark_next(topic: str, key: str, continues: bool) -> Head | StepResult:
    """Mark the event that follows, in the transaction that wrote the outcome of the one before."""
    head = head_of(topic, key) if continues else None
    if head and head.may_be_tried:
        crash_marks.mark_parked(head.entry)
        return head
    due_times.settle(topic, key)
    return StepResult.EMPTY if continues and head is None else StepResult.NOTHING_DUE


def _head_to_try(topic: str, key: str) -> Head | StepResult:
    """Lock the key, then read its head; a StepResult when there is nothing to retry."""
    if topic in pauses.paused_topics() or not lock_exclusively(topic, key, skip_locked=True):
        return StepResult.NOTHING_DUE
    head = head_of(topic, key)
    if head is None:
        return StepResult.EMPTY
    return head if head.may_be_tried else StepResult.NOTHING_DUE


def _clear_mark(topic: str, key: str) -> None:
    """Clear the mark: this process did not die. When the database is away, a later run clears it."""
    global _left_marks
    try:
        crash_marks.clear_parked(topic, key)
    except DatabaseError:
        _left_marks = True


def _clear_left_marks() -> None:
    global _left_marks
    if _left_marks:
        crash_marks.clear_own_parked()
        _left_marks = False


def _try(head: Head, slow: dict[str, SlowAttempt], hurried: bool) -> bool:
    """Try the head at its handler and write the outcome; return whether the event ended."""
    found = _work(head)
    if found is None:
        return False
    handler, work = found
    if lost := slow.get(handler.name):
        # Read again: another process may have counted attempts since; then the lost attempt does not count.
        outcome = retries.after_slow(handler, work, lost) if lost.attempts > head.attempts else None
    else:
        outcome = retries.attempt(handler, work, head.attempts, hurried)
    if outcome is None:
        return False
    retries.write(handler, work, outcome)
    return not outcome.parks


def _work(head: Head) -> tuple[Handler, Work] | None:
    """Decode the stored record with the current code. None, and a dead letter, when that fails."""
    group, topic = group_of(head.entry.topic), head.entry.topic
    item = read(unpacked(head.raw), group, head.received_at) if group else None
    if isinstance(item, Work):
        handler = next((each for each in item.handlers if each.name == head.entry.handler), None)
        if handler:
            return handler, Work(item.record, [handler], [head.entry], item.delivery)
        if head.received_at > datetime.now(UTC) - timedelta(seconds=NEW_CODE_SECONDS):
            _set_aside(topic, head.entry.key, f"this code has no handler {head.entry.handler}; newer code may have it")
            return None
    reason = (
        item.error
        if isinstance(item, Poison)
        else f"this service has no handler {head.entry.handler!r} for the topic {topic}"
    )
    retries.unreadable(head.entry, head.raw, reason)
    return None
