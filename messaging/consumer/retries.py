"""The retry policy: attempts 1..N of one event at one handler, and their outcome.

Each attempt runs in a savepoint of the caller's transaction. The caller writes the outcome in the same transaction,
under the same locks. An outage does not count as an attempt: it passes through.
"""

from __future__ import annotations

import logging
import random
import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import psycopg2
from django.db import connection, transaction

from messaging.backoff import jittered
from messaging.conf import conf
from messaging.consumer.batch import check_transaction, declared_dead, run
from messaging.consumer.freeze_detector import ticker
from messaging.context import current_context
from messaging.database import longest_idle, takes_writes
from messaging.error_kinds import (
    DISK_FULL,
    LOCK_TIMEOUT,
    STATEMENT_TIMEOUT,
    Failure,
    Kind,
    described,
    failure_of,
    kind_of,
    sqlstate,
)
from messaging.errors import AttemptCutOff, ConnectionLost, DeadLetter, LostAgain, SlowAttempt
from messaging.inbox import rows
from messaging.inbox.decoding import Work
from messaging.inbox.rows import Entry, InboxUpdate
from messaging.kafka.records import packed, place_of
from messaging.parking import circuit_breaker, dead_letters
from messaging.parking.dead_letters import Letter
from messaging.registry import Handler
from messaging.states import InboxState

logger = logging.getLogger(__name__)

#: The reason of an event at which several processes in a row died.
KILLED = "killed_the_process"
#: Failures that are retried later. An outage is among them only when it counts, else it has passed through.
PASSING = (Kind.TRANSIENT, Kind.OUTAGE)
#: What a handler may raise that is no Exception; outside the thread it would end the whole worker.
EXITS = (SystemExit, CancelledError, GeneratorExit)
#: Longest delay between two immediate attempts, in seconds; the transaction is open meanwhile, so it stays short.
DELAY_SECONDS = 0.05
#: Time for the immediate attempts, in seconds. After it a transient failure parks its key without further attempts:
#: three lock timeouts in a row would hold up every other key of the partition.
AT_ONCE_SECONDS = 1.0
#: Time limits of a hurried attempt, in seconds: it is cut off when it waits for a lock, or for a slow statement.
HURRIED_LOCK_SECONDS = 0.1
HURRIED_STATEMENT_SECONDS = 0.5
#: Whether an outage counts as an attempt when the database takes writes: many have followed each other here.
_outages_count: ContextVar[bool] = ContextVar("messaging_outages_count", default=False)


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The outcome of an event at a handler. `wait` is the delay, in seconds, before a parked one is tried again."""

    state: InboxState
    attempts: int
    failure: Failure = field(default_factory=Failure)
    wait: float = 0.0
    letter: Letter | None = None

    @property
    def parks(self) -> bool:
        """Whether the event stays in the queue: its key is parked, and later events wait."""
        return self.state is InboxState.WAITING or (self.letter is not None and self.letter.parks)


def hurry() -> None:
    """Set the time limits of a hurried attempt, until the end of the open transaction."""
    limits = [f"{int(seconds * 1000)}ms" for seconds in (HURRIED_LOCK_SECONDS, HURRIED_STATEMENT_SECONDS)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)", limits)


def was_cut_off(error: BaseException) -> bool:
    """Return whether a hurried turn ended by its time limits."""
    return isinstance(error, AttemptCutOff) or sqlstate(error) in (LOCK_TIMEOUT, STATEMENT_TIMEOUT)


def attempt(handler: Handler, work: Work, made: int = 0, hurried: bool = False) -> AttemptOutcome:
    """Try the handler until the event is handled or no immediate attempt is left. `made` attempts came before.

    SlowAttempt when an attempt took too long and lost the connection; AttemptCutOff when one failed after hurry(),
    and waited before. Outages pass through.
    """
    ticker()  # it must tick before a freeze to detect it
    until = time.monotonic() + AT_ONCE_SECONDS
    while True:
        made += 1
        begin = time.monotonic()
        try:
            return _in_savepoint(handler, work, made)
        except (Exception, *EXITS) as error:
            if hurried and (was_cut_off(error) or time.monotonic() - begin > HURRIED_LOCK_SECONDS):
                raise AttemptCutOff(handler.name) from error
            _raise_outage(error, handler, made, begin)
            logger.warning("%s attempt %s: %s: %s", handler.name, made, work.record.event_id, described(error))
            outcome = _after_failure(handler, work, made, error, in_time=time.monotonic() < until)
        if outcome:
            return outcome
        time.sleep(random.uniform(0, DELAY_SECONDS))


def _in_savepoint(handler: Handler, work: Work, made: int) -> AttemptOutcome:
    """Make one attempt. Its writes and events are undone when it fails, or declares the event dead."""
    try:
        with transaction.atomic():
            letters = run(handler, [work.attempt(made)], {place_of(work.record): work})
    except DeadLetter as dead:
        letters = [declared_dead(work, handler, dead.reason, dead.detail, made)]
    if letters:
        return AttemptOutcome(InboxState.DEAD, made, letter=letters[0])
    return AttemptOutcome(InboxState.DONE, made)


def _raise_outage(error: BaseException, handler: Handler, made: int, begin: float) -> None:
    """Re-raise outages, which do not count as attempts, even if the handler wrapped them."""
    if isinstance(error, SlowAttempt):
        raise error
    lost = connection.needs_rollback or not connection.is_usable()
    if lost and is_too_slow(begin):
        raise SlowAttempt(handler.name, made) from error
    is_outage = kind_of(error, handler.retries.on) is Kind.OUTAGE
    if (lost or is_outage) and is_false_outage(error):
        if lost:
            raise LostAgain(handler.name, made) from error
        return
    if is_outage:
        raise error
    if lost:
        raise ConnectionLost(f"the database connection was lost in {handler.name}") from error
    if sqlstate(error) == STATEMENT_TIMEOUT and not takes_writes():
        raise ConnectionLost("even a trivial write does not commit: the database hangs") from error


@contextmanager
def outages_count(enabled: bool) -> Iterator[None]:
    """For a with block, count an outage as a transient attempt while the database takes writes, if `enabled`."""
    token = _outages_count.set(enabled)
    try:
        yield
    finally:
        _outages_count.reset(token)


def is_false_outage(error: BaseException) -> bool:
    """Return whether an error that looks like an outage is the event's own: the database takes writes.

    Only within outages_count(). A full disk may take a trivial write, so it always is an outage.
    """
    return _outages_count.get() and sqlstate(error) != DISK_FULL and takes_writes()


def is_too_slow(begin: float) -> bool:
    """Return whether work since `begin` took longer than a transaction may be idle, and no freeze explains it."""
    try:
        longest = min(longest_idle(), conf().max_poll_interval_ms / 1000)
    except psycopg2.Error:
        return False
    return time.monotonic() - begin > longest and not ticker().was_frozen_since(begin)


def after_slow(handler: Handler, work: Work, slow: SlowAttempt) -> AttemptOutcome:
    """Return the outcome of an attempt that lost its connection; the new transaction has repeated every check."""
    if slow.attempts < immediate(handler) + delayed(handler):
        return waiting(handler, slow.attempts, failure_of(slow))
    return _exhausted(handler, work, slow.attempts, slow, transient=True)


def _after_failure(
    handler: Handler, work: Work, made: int, error: BaseException, *, in_time: bool
) -> AttemptOutcome | None:
    """Return the outcome of failed attempt number `made`; None when the next attempt follows immediately."""
    transient = kind_of(error, handler.retries.on) in PASSING
    if made < immediate(handler) and (in_time or not transient or not delayed(handler)):
        return None
    if transient and made < immediate(handler) + delayed(handler):
        return waiting(handler, made, failure_of(error))
    return _exhausted(handler, work, made, error, transient=transient)


def immediate(handler: Handler) -> int:
    """Return the number of immediate attempts of the handler."""
    return handler.retries.immediate or conf().retry_immediate


def delayed(handler: Handler) -> int:
    """Return the number of delayed attempts, during which the key is parked."""
    return conf().retry_delayed if handler.retries.delayed is None else handler.retries.delayed


def waiting(handler: Handler, made: int, failure: Failure) -> AttemptOutcome:
    """Return the outcome of an event that is retried later, by capped exponential backoff with jitter."""
    delay = conf().retry_backoff.at(made - immediate(handler))
    return AttemptOutcome(InboxState.WAITING, made, failure, wait=jittered(delay))


def _exhausted(handler: Handler, work: Work, made: int, error: BaseException, *, transient: bool) -> AttemptOutcome:
    """Call the handler's failure answer. Without one, or when it fails too, the event is a dead letter."""
    failure = failure_of(error)
    if handler.on_exhausted is None:
        return _dead(handler, work, made, failure, "retries_exhausted" if transient else "handler_failed")
    try:
        _answer(handler, work, made)
    except DeadLetter as dead:
        letter = declared_dead(work, handler, dead.reason, dead.detail, made)
        return AttemptOutcome(InboxState.DEAD, made, failure, letter=letter)
    except Exception as second:
        _raise_outage(second, handler, made, time.monotonic())
        if kind_of(second) in PASSING:
            return waiting(handler, made, failure_of(second))
        return _dead(handler, work, made, failure_of(second), "failure_answer_failed")
    return AttemptOutcome(InboxState.EXHAUSTED, made, failure)


def _answer(handler: Handler, work: Work, made: int) -> None:
    delivery = work.attempt(made)
    token = current_context.set(delivery.context)
    try:
        with transaction.atomic():
            assert handler.on_exhausted is not None
            handler.on_exhausted(delivery.event, delivery.context)
            check_transaction(handler, made)
    finally:
        current_context.reset(token)


def _dead(handler: Handler, work: Work, made: int, failure: Failure, reason: str) -> AttemptOutcome:
    record = work.record
    letter = Letter(work.entry_at(handler), record.type, reason, failure, made, packed(record.raw), parks=True)
    return AttemptOutcome(InboxState.DEAD, made, failure, letter=letter)


def write(handler: Handler, work: Work, outcome: AttemptOutcome) -> None:
    """Write the outcome to the inbox row, which this transaction inserted, or locks by its key."""
    if outcome.letter:
        dead_letters.keep([outcome.letter])
    elif outcome.state is InboxState.WAITING:
        rows.write_outcome(work.entry_at(handler), _result(outcome, packed(work.record.raw), outcome.wait))
    else:
        rows.write_outcome(work.entry_at(handler), _result(outcome))
    if outcome.failure.fingerprint and outcome.state in (InboxState.EXHAUSTED, InboxState.DEAD):
        circuit_breaker.check(handler, outcome.failure.fingerprint)


def _result(outcome: AttemptOutcome, raw: bytes | None = None, wait: float | None = None) -> InboxUpdate:
    failure = outcome.failure
    return InboxUpdate(outcome.state, outcome.attempts, failure.fingerprint or None, failure.error, raw, wait)


def killed(entry: Entry, type_name: str, raw: bytes, deaths: int) -> Letter:
    """Return the letter of an event that is not retried: `deaths` processes in a row died at it."""
    failure = Failure(KILLED, f"{deaths} processes in a row died while they handled it")
    return Letter(entry, type_name, KILLED, failure, deaths, raw, parks=True)


def unreadable(entry: Entry, raw: bytes, error: str) -> None:
    """Keep a queued event that the current code cannot decode as a dead letter; its key stays parked."""
    failure = Failure("InvalidRecord: queued", error)
    dead_letters.keep([Letter(entry, "", "unreadable", failure, 0, raw, parks=True)])
