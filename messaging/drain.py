"""The drain: tries the events of parked keys again, in order, and hands a key back when its queue is empty.

One event per transaction. Each locks the key, then reads the head: whatever a second drain, an operator or the
consumer did meanwhile is seen. What becomes of the event is written in the same transaction.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from django.db import close_old_connections, connection, transaction

from messaging import attempts, outbox, parking, pauses
from messaging.conf import conf
from messaging.errors import SlowAttempt
from messaging.failures import Kind, kind_of
from messaging.inbox import NO_HANDLER, Entry
from messaging.reading import Poison, Work, read
from messaging.record import unpacked
from messaging.registry import Handler, all_handlers
from messaging.states import InboxState

logger = logging.getLogger(__name__)

_running = threading.Lock()

#: Longest time, in seconds, that one run works; the next one goes on.
RUN_SECONDS = 5.0
#: Events of one key before another key has its turn.
EVENTS_IN_A_TURN = 100
#: Keys that one look at the table finds.
PAGE = 100

#: Parked keys whose head is due, or whose queue is empty, the most overdue first.
_DUE = """
SELECT parked.topic, parked.key
  FROM messaging_parked_key AS parked
  LEFT JOIN LATERAL (
       SELECT state, next_attempt_at FROM messaging_inbox AS row
        WHERE row.topic = parked.topic AND row.key = parked.key AND row.raw IS NOT NULL
        ORDER BY row."offset", row.id LIMIT 1
       ) AS head ON true
 WHERE parked.topic <> ALL(%s)
   AND (head.state IS NULL OR (head.state = 'waiting' AND head.next_attempt_at <= %s))
 ORDER BY head.next_attempt_at NULLS FIRST, parked.id
 LIMIT %s
"""
_HEADS = """
SELECT event_id, handler, topic, partition, "offset", key, state, attempts, received_at, next_attempt_at, raw
  FROM messaging_inbox
 WHERE topic = %s AND key = %s AND raw IS NOT NULL
 ORDER BY "offset", id LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The first event in a key's queue, at the first handler that has not handled it."""

    entry: Entry
    state: str
    attempts: int
    received_at: datetime
    next_attempt_at: datetime | None
    raw: bytes


class Turn(Enum):
    """What a transaction of the drain found: it went on, the queue is empty, or there is nothing to do for now."""

    WENT_ON = "went on"
    EMPTY = "empty"
    RESTS = "rests"


def drain_due() -> int:
    """Try what is due, for at most RUN_SECONDS; return how many events ended. Safe to run twice at once.

    One run per process is enough: a second one returns at once. An outage ends the run; the next finds the same work.
    """
    if not _running.acquire(blocking=False):
        return 0
    try:
        return _drain_for(RUN_SECONDS)
    except Exception as error:
        if kind_of(error) is not Kind.OUTAGE:
            raise
        logger.warning("parked keys rest, no attempt is counted: %r", error)
        return 0
    finally:
        _running.release()


def _drain_for(seconds: float) -> int:
    until = time.monotonic() + seconds
    ended, progress = 0, True
    while progress and time.monotonic() < until:
        progress = False
        for topic, key in due():
            handled = _drain_or_log(topic, key)
            progress = progress or handled > 0
            ended += handled
            if time.monotonic() >= until:
                break
    return ended


def _drain_or_log(topic: str, key: str) -> int:
    """Give a key its turn; what goes wrong outside a handler, a lock timeout say, keeps no other key waiting."""
    try:
        return drain_key(topic, key)
    except Exception as error:
        if kind_of(error) is Kind.OUTAGE:
            raise
        logger.warning("%s: the key %s is looked at again later: %r", topic, key, error, exc_info=True)
        return 0


def due(now: datetime | None = None) -> list[tuple[str, str]]:
    """Return parked keys (topic, key) with something to do."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [sorted(pauses.paused_topics()), now or datetime.now(UTC), PAGE])
        return list(cursor.fetchall())


def drain_key(topic: str, key: str) -> int:
    """Give a key its turn: its events in order until one is not due, or fails; return how many ended."""
    ended = 0
    for _ in range(EVENTS_IN_A_TURN):
        turn = _one_event(topic, key)
        if turn is Turn.WENT_ON:
            ended += 1
            continue
        if turn is Turn.EMPTY and parking.hand_back(topic, key):
            logger.info("%s: the key %s goes on", topic, key)
        break
    return ended


def _one_event(topic: str, key: str) -> Turn:
    try:
        return _in_transaction(topic, key, {})
    except SlowAttempt as slow:
        close_old_connections()
        return _in_transaction(topic, key, {slow.handler: slow})


def _in_transaction(topic: str, key: str, slow: dict[str, SlowAttempt]) -> Turn:
    with transaction.atomic(), outbox.gather():
        if topic in pauses.paused_topics() or not parking.lock_alone(topic, key, skip_locked=True):
            return Turn.RESTS
        head = head_of(topic, key)
        if head is None:
            return Turn.EMPTY
        if head.state != InboxState.WAITING or (head.next_attempt_at and head.next_attempt_at > datetime.now(UTC)):
            return Turn.RESTS
        return _try(head, slow)


def head_of(topic: str, key: str) -> Head | None:
    """Return the first event of a key's queue at the first of its handlers, as they subscribed."""
    with connection.cursor() as cursor:
        cursor.execute(_HEADS, [topic, key])
        heads = [_head(row) for row in cursor.fetchall()]
    names = [NO_HANDLER, *(handler.name for handler in all_handlers())]
    first = [head for head in heads if head.entry.offset == heads[0].entry.offset]
    return min(first, key=lambda head: _place(names, head.entry.handler), default=None)


def _head(row: tuple[Any, ...]) -> Head:
    state, made, received_at, next_attempt_at, raw = row[6:]
    return Head(Entry(*row[:6]), state, made, received_at, next_attempt_at, bytes(raw))


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _try(head: Head, slow: dict[str, SlowAttempt]) -> Turn:
    """Try the head at its handler and write what becomes of it."""
    found = _work(head)
    if found is None:
        return Turn.RESTS
    handler, work = found
    if lost := slow.get(handler.name):
        # Read again: another drain may have gone on meanwhile, and then the lost attempt is nobody's.
        outcome = attempts.after_slow(handler, work, lost) if lost.attempts > head.attempts else None
    else:
        outcome = attempts.attempt(handler, work, head.attempts)
    if outcome is None:
        return Turn.RESTS
    attempts.write(handler, work, outcome)
    return Turn.RESTS if outcome.parks else Turn.WENT_ON


def _work(head: Head) -> tuple[Handler, Work] | None:
    """Read the kept record with the code of today. None, and a dead letter, when it can't be read any more."""
    group, topic = group_of(head.entry.topic), head.entry.topic
    item = read(unpacked(head.raw), group, head.received_at) if group else None
    if isinstance(item, Work):
        handler = next((each for each in item.handlers if each.name == head.entry.handler), None)
        if handler:
            return handler, item
    reason = item.error if isinstance(item, Poison) else f"no handler {head.entry.handler!r} reads {topic} here"
    attempts.unreadable(head.entry, head.raw, reason)
    return None


def group_of(topic: str) -> str:
    """Return the consumer group of this service that reads a topic; '' when none does."""
    return next((group for group, topics in conf().groups.items() if topic in topics), "")
