"""Retries the events of parked keys in order, and unparks a key when its queue is empty.

One event a transaction. Each transaction locks the key and then reads the head, so it sees what another worker, an
operator or the consumer did. The same transaction writes the outcome. A crash mark is committed before it: an event at
which several processes in a row die becomes a dead letter here too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, transaction

from messaging.backoff import Backoff, Delayed
from messaging.conf import conf, group_of
from messaging.consumer import retries
from messaging.database import session_lock
from messaging.error_kinds import Kind, described, kind_of
from messaging.errors import SlowAttempt
from messaging.inbox import crash_marks, lost_commits
from messaging.inbox.decoding import Poison, Work, read
from messaging.inbox.rows import ORDER_IN_PARTITION, QUEUE_ORDER, Entry
from messaging.kafka.records import type_of, unpacked
from messaging.outbox.publish import gather
from messaging.parking import dead_letters, pauses
from messaging.parking.keys import lock_exclusively, unpark
from messaging.registry import Handler, handler_names
from messaging.states import InboxState

logger = logging.getLogger(__name__)

_running = threading.Lock()
#: A new object for each event that the run handles, None while no run is active.
_progress: object | None = None
#: Delays, in seconds, of a key at which something other than its handlers failed, and the keys that wait so.
FAILING_BACKOFF = Backoff(5.0, 300.0)
_failing: Delayed[tuple[str, str]] = Delayed(FAILING_BACKOFF, forget_after=FAILING_BACKOFF.cap)
#: Whether this process left crash marks that it could not clear, because its database was away.
_left_marks = False

#: Longest time of one run, in seconds; the next run continues.
RUN_SECONDS = 5.0
#: Events of one key before the next key's turn.
EVENTS_IN_A_TURN = 100
#: How long, in seconds, an event may wait for a handler that this process lacks: newer code may have it.
NEW_CODE_SECONDS = 3600.0
#: First of the two numbers of the advisory lock that lets one worker at a time retry a key.
LOCK_SPACE = 0x0B0F
#: Idle time of a session, in milliseconds, after which it loses that lock.
SILENT_MS = 10_000
#: The same where the lock has a session of its own, which is silent while a handler works.
POOLED_SILENT_MS = 60_000
#: Keys read in one query.
PAGE = 100

#: Parked keys whose head is due, or whose queue is empty, the most overdue first.
_DUE = f"""
SELECT parked.topic, parked.key
  FROM messaging_parked_key AS parked
  LEFT JOIN LATERAL (
       SELECT state, next_attempt_at FROM messaging_inbox AS row
        WHERE row.topic = parked.topic AND row.key = parked.key AND row.raw IS NOT NULL
        ORDER BY {QUEUE_ORDER} LIMIT 1
       ) AS head ON true
 WHERE parked.topic <> ALL(%s) AND (parked.topic, parked.key) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
   AND (head.state IS NULL OR (head.state = 'waiting' AND head.next_attempt_at <= now()))
 ORDER BY head.next_attempt_at NULLS FIRST, parked.id
 LIMIT %s
"""
_QUEUED = """
SELECT event_id, handler, topic, row.partition, "offset", key, state, attempts, received_at,
       coalesce(next_attempt_at <= now(), true), raw
  FROM messaging_parked_key AS parked JOIN messaging_inbox AS row USING (topic, key)
 WHERE topic = %s AND key = %s AND raw IS NOT NULL
"""
#: First the partition in which the key was parked: an index leads to its head, however long the queue is.
_HEADS = (
    f"{_QUEUED} AND row.partition = parked.partition ORDER BY {ORDER_IN_PARTITION} LIMIT 1",
    f"{_QUEUED} ORDER BY {QUEUE_ORDER} LIMIT 1",
)


@dataclass(frozen=True, slots=True)
class Head:
    """The first event in a key's queue, at the first handler that has not handled it."""

    entry: Entry
    state: str
    attempts: int
    received_at: datetime
    is_due: bool
    raw: bytes


class StepResult(Enum):
    """What a transaction found: an event ended, the queue is empty, or there is nothing to do for now."""

    ENDED = "ended"
    EMPTY = "empty"
    NOTHING_DUE = "nothing due"


def retry_due() -> int:
    """Retry due events for at most RUN_SECONDS; return how many ended. Safe to run twice at once.

    A second run in the same process returns at once. An outage ends the run; the next one finds the same work.
    """
    global _progress
    if not _running.acquire(blocking=False):
        return 0
    try:
        _progress = object()
        if not lost_commits.parked_keys_may_run():
            return 0
        _clear_left_marks()
        return _retry_for(RUN_SECONDS)
    except Exception as error:
        if kind_of(error) is not Kind.OUTAGE:
            raise
        logger.warning("outage: parked keys wait, and no attempt is counted: %s", described(error))
        return 0
    finally:
        _progress = None
        _running.release()


def progress() -> object | None:
    """Return an object that changes whenever this process's run makes progress; None without a run."""
    return _progress


def _retry_for(seconds: float) -> int:
    until = time.monotonic() + seconds
    ended, progress = 0, True
    while progress and time.monotonic() < until:
        progress = False
        for topic, key in due():
            handled = _retry_or_log(topic, key)
            progress = progress or handled > 0
            ended += handled
            if time.monotonic() >= until:
                break
    return ended


def _retry_or_log(topic: str, key: str) -> int:
    """Give a key its turn. A failure outside a handler, such as a lock timeout, holds up no other key."""
    try:
        handled = retry_key(topic, key)
    except Exception as error:
        _set_aside(topic, key, error)
        if kind_of(error) is Kind.OUTAGE:
            raise
        return 0
    if handled:
        _failing.worked([(topic, key)])
    return handled


def _set_aside(topic: str, key: str, why: object) -> None:
    """Try the key again after a delay that grows; other keys continue."""
    delay = _failing.failed((topic, key))
    logger.warning("%s: the key %s is retried in %.0f s: %s", topic, key, delay, described(why))


def due() -> list[tuple[str, str]]:
    """Return the parked keys (topic, key) whose head is due, or whose queue is empty."""
    resting = _failing.now()
    columns = [[topic for topic, _ in resting], [key for _, key in resting]]
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [handler_names(), sorted(pauses.paused_topics()), *columns, PAGE])
        return list(cursor.fetchall())


def retry_key(topic: str, key: str) -> int:
    """Retry a key's events in order until one is not due or fails; return how many ended.

    One process at a time does this, so another process's mark belongs to a process that died.
    """
    with _key_lock(topic, key) as mine:
        return _retry_locked(topic, key) if mine else 0


@contextmanager
def _key_lock(topic: str, key: str) -> Iterator[bool]:
    """Hold the key's advisory lock for a with block; yields False when another process has it.

    A frozen process loses the lock with its session, which PostgreSQL ends when it is idle for too long.
    """
    if conf().direct_database:  # behind a pooler, Django's connection is no session
        with session_lock(LOCK_SPACE, f"{topic} {key}", idle_session_timeout=f"{POOLED_SILENT_MS}ms") as mine:
            yield mine
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [LOCK_SPACE, f"{topic} {key}"])
        if not cursor.fetchone()[0]:
            yield False
            return
    try:
        _execute("SET idle_session_timeout = %s", SILENT_MS)
        yield True
    finally:
        try:
            _execute("RESET idle_session_timeout")
            _execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", LOCK_SPACE, f"{topic} {key}")
        except DatabaseError as error:
            logger.info("%s: the lock of the key %s ended with its connection: %r", topic, key, error)


def _execute(sql: str, *parameters: int | str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _retry_locked(topic: str, key: str) -> int:
    ended = 0
    for _ in range(EVENTS_IN_A_TURN):
        result = _one_event(topic, key)
        if result is StepResult.ENDED:
            ended += 1
            continue
        if result is StepResult.EMPTY and unpark(topic, key):
            logger.info("%s: the key %s is unparked", topic, key)
        break
    return ended


def _one_event(topic: str, key: str) -> StepResult:
    global _progress
    _progress = object()
    marked = _mark_head(topic, key)
    if isinstance(marked, StepResult):
        return marked
    result = None
    try:
        try:
            result = _in_transaction(marked, {})
        except SlowAttempt as slow:
            close_old_connections()
            result = _in_transaction(marked, {slow.handler: slow})
    finally:
        if result is None:
            close_old_connections()
        if result is None or result is StepResult.NOTHING_DUE:
            _clear_mark(topic, key)
    return result


def _mark_head(topic: str, key: str) -> Head | StepResult:
    """Mark the key's head; it becomes a dead letter when too many processes died at it."""
    with transaction.atomic(), gather():
        head = _head_to_try(topic, key)
        if isinstance(head, StepResult):
            return head
        deaths = crash_marks.mark_parked(head.entry)
        if deaths < conf().deaths_allowed:
            return head
        dead_letters.keep([retries.killed(head.entry, type_of(unpacked(head.raw)), head.raw, deaths)])
        crash_marks.clear_parked(topic, key)
    return StepResult.NOTHING_DUE


def _in_transaction(marked: Head, slow: dict[str, SlowAttempt]) -> StepResult:
    topic, key = marked.entry.topic, marked.entry.key
    with transaction.atomic(), gather():
        head = _head_to_try(topic, key)
        if isinstance(head, StepResult):
            return head
        if head.entry != marked.entry:  # another process handled it meanwhile
            return StepResult.NOTHING_DUE
        result = _try(head, slow)
        crash_marks.clear_parked(topic, key)
    return result


def _head_to_try(topic: str, key: str) -> Head | StepResult:
    """Lock the key, then read its head; a StepResult when there is nothing to retry."""
    if topic in pauses.paused_topics() or not lock_exclusively(topic, key, skip_locked=True):
        return StepResult.NOTHING_DUE
    head = head_of(topic, key)
    if head is None:
        return StepResult.EMPTY
    return head if head.state == InboxState.WAITING and head.is_due else StepResult.NOTHING_DUE


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


def head_of(topic: str, key: str) -> Head | None:
    """Return the first event of a key's queue at the first of its handlers, as they subscribed."""
    with connection.cursor() as cursor:
        for query in _HEADS:
            cursor.execute(query, [topic, key, handler_names()])
            if row := cursor.fetchone():
                return _head(row)
    return None


def _head(row: tuple[Any, ...]) -> Head:
    state, made, received_at, is_due, raw = row[6:]
    return Head(Entry(*row[:6]), state, made, received_at, is_due, bytes(raw))


def _try(head: Head, slow: dict[str, SlowAttempt]) -> StepResult:
    """Try the head at its handler and write the outcome."""
    found = _work(head)
    if found is None:
        return StepResult.NOTHING_DUE
    handler, work = found
    if lost := slow.get(handler.name):
        # Read again: another process may have counted attempts since; then the lost attempt does not count.
        outcome = retries.after_slow(handler, work, lost) if lost.attempts > head.attempts else None
    else:
        outcome = retries.attempt(handler, work, head.attempts)
    if outcome is None:
        return StepResult.NOTHING_DUE
    retries.write(handler, work, outcome)
    return StepResult.NOTHING_DUE if outcome.parks else StepResult.ENDED


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
