"""The attempts of one event at one handler: 1..N, and what becomes of it in the end.

Each attempt runs in a savepoint of the caller's transaction, and the caller writes the outcome in that transaction,
under the locks that it began with. An outage counts no attempt: it passes through.
"""

from __future__ import annotations

import logging
import random
import time
from asyncio import CancelledError
from dataclasses import dataclass, field

import psycopg2
from django.db import connection, transaction

from messaging.backoff import jittered
from messaging.conf import conf
from messaging.consumer.batch import declared_dead, run
from messaging.consumer.freeze_detector import ticker
from messaging.context import in_hand
from messaging.database import longest_idle, takes_writes
from messaging.error_kinds import STATEMENT_TIMEOUT, Failure, Kind, failure_of, kind_of, sqlstate
from messaging.errors import ConnectionLost, DeadLetter, SlowAttempt
from messaging.inbox import rows
from messaging.inbox.decoding import Work
from messaging.inbox.rows import Entry, InboxUpdate, entry_of
from messaging.kafka.records import packed
from messaging.parking import circuit_breaker, dead_letters
from messaging.parking.dead_letters import Letter
from messaging.registry import Handler
from messaging.states import InboxState

logger = logging.getLogger(__name__)

#: Reason of an event during whose handling process after process died.
KILLED = "killed_the_process"
#: What a handler's own code may raise beside an Exception; out of the thread it would end the whole worker.
GIVES_UP = (SystemExit, CancelledError, GeneratorExit)
#: Longest delay between two immediate attempts, in seconds; the transaction is open meanwhile, so it stays short.
DELAY_SECONDS = 0.05
#: Time for the attempts at once, in seconds; when it is over a transient failure parks its key without further ones:
#: three lock timeouts in a row would hold up every other key of the partition meanwhile.
AT_ONCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """What became of an event at a handler. `wait` is the delay, in seconds, before a parked one is tried again."""

    state: InboxState
    attempts: int
    failure: Failure = field(default_factory=Failure)
    wait: float = 0.0
    letter: Letter | None = None

    @property
    def parks(self) -> bool:
        """Whether the event stays, so that its key is parked and what follows waits."""
        return self.state is InboxState.WAITING or (self.letter is not None and self.letter.parks)


def attempt(handler: Handler, work: Work, made: int = 0) -> AttemptOutcome:
    """Try the handler until the event is handled, or no attempt is left for now. `made` attempts came before.

    SlowAttempt when the connection was lost in an attempt that took too long. Outages pass through.
    """
    ticker()  # it has to tick before a freeze to tell of it
    until = time.monotonic() + AT_ONCE_SECONDS
    while True:
        made += 1
        begin = time.monotonic()
        try:
            return _in_savepoint(handler, work, made)
        except (Exception, *GIVES_UP) as error:
            _raise_outage(error, handler, made, begin)
            logger.warning("%s attempt %s: %s: %r", handler.name, made, work.record.event_id, error)
            outcome = _after_failure(handler, work, made, error, in_time=time.monotonic() < until)
        if outcome:
            return outcome
        time.sleep(random.uniform(0, DELAY_SECONDS))


def _in_savepoint(handler: Handler, work: Work, made: int) -> AttemptOutcome:
    """Make one attempt. What it wrote and published is undone when it fails, and when it declares the event dead."""
    try:
        with transaction.atomic():
            letters = run(handler, [work.delivery(made)], {work.record.event_id: work})
    except DeadLetter as dead:
        letters = [declared_dead(work, handler, dead.reason, dead.detail, made)]
    if letters:
        return AttemptOutcome(InboxState.DEAD, made, letter=letters[0])
    return AttemptOutcome(InboxState.DONE, made)


def _raise_outage(error: BaseException, handler: Handler, made: int, begin: float) -> None:
    """Raise what no attempt may be counted for: an outage, also one that the handler turned into another error."""
    lost = connection.needs_rollback or not connection.is_usable()
    if lost and is_too_slow(begin):
        raise SlowAttempt(handler.name, made) from error
    if kind_of(error, handler.retries.on) is Kind.OUTAGE:
        raise error
    if lost:
        raise ConnectionLost(f"the database connection was lost in {handler.name}") from error
    if sqlstate(error) == STATEMENT_TIMEOUT and not takes_writes():
        raise ConnectionLost("not even a trivial write gets through: the database stands still") from error


def is_too_slow(begin: float) -> bool:
    """Tell whether work since `begin` took longer than a transaction may be idle, and not because of a freeze."""
    try:
        longest = min(longest_idle(), conf().max_poll_interval_ms / 1000)
    except psycopg2.Error:
        return False
    return time.monotonic() - begin > longest and not ticker().stood_still_since(begin)


def after_slow(handler: Handler, work: Work, slow: SlowAttempt) -> AttemptOutcome:
    """Return the outcome of an attempt that was lost with its connection, in a transaction that looked at all anew."""
    if slow.attempts < immediate(handler) + delayed(handler):
        return waiting(handler, slow.attempts, failure_of(slow))
    return _exhausted(handler, work, slow.attempts, slow, transient=True)


def _after_failure(
    handler: Handler, work: Work, made: int, error: BaseException, *, in_time: bool
) -> AttemptOutcome | None:
    """Return the outcome of attempt number `made`, which failed; None when the next one comes at once."""
    transient = kind_of(error, handler.retries.on) is Kind.TRANSIENT
    if made < immediate(handler) and (in_time or not transient or not delayed(handler)):
        return None
    if transient and made < immediate(handler) + delayed(handler):
        return waiting(handler, made, failure_of(error))
    return _exhausted(handler, work, made, error, transient=transient)


def immediate(handler: Handler) -> int:
    """Return how often the handler is tried at once."""
    return handler.retries.immediate or conf().retry_immediate


def delayed(handler: Handler) -> int:
    """Return how often the handler is tried after that, with its key parked meanwhile."""
    return conf().retry_delayed if handler.retries.delayed is None else handler.retries.delayed


def waiting(handler: Handler, made: int, failure: Failure) -> AttemptOutcome:
    """Return the outcome of an event that is tried again later: capped exponential backoff with jitter."""
    delay = conf().retry_backoff.at(made - immediate(handler))
    return AttemptOutcome(InboxState.WAITING, made, failure, wait=jittered(delay))


def _exhausted(handler: Handler, work: Work, made: int, error: BaseException, *, transient: bool) -> AttemptOutcome:
    """Let the handler give its failure answer. Without one, or when that fails too, the event is a dead letter."""
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
        if kind_of(second) is Kind.TRANSIENT:
            return waiting(handler, made, failure_of(second))
        return _dead(handler, work, made, failure_of(second), "failure_answer_failed")
    return AttemptOutcome(InboxState.EXHAUSTED, made, failure)


def _answer(handler: Handler, work: Work, made: int) -> None:
    delivery = work.delivery(made)
    token = in_hand.set(delivery.context)
    try:
        with transaction.atomic():
            assert handler.on_exhausted is not None
            handler.on_exhausted(delivery.event, delivery.context)
    finally:
        in_hand.reset(token)


def _dead(handler: Handler, work: Work, made: int, failure: Failure, reason: str) -> AttemptOutcome:
    record = work.record
    letter = Letter(entry_of(record, handler), record.type, reason, failure, made, packed(record.raw), parks=True)
    return AttemptOutcome(InboxState.DEAD, made, failure, letter=letter)


def write(handler: Handler, work: Work, outcome: AttemptOutcome) -> None:
    """Write the outcome into the inbox row, which this transaction inserted or holds by its key's lock."""
    if outcome.letter:
        dead_letters.keep([outcome.letter])
    elif outcome.state is InboxState.WAITING:
        rows.mark(entry_of(work.record, handler), _result(outcome, packed(work.record.raw), outcome.wait))
    else:
        rows.mark(entry_of(work.record, handler), _result(outcome))
    if outcome.failure.fingerprint and outcome.state in (InboxState.EXHAUSTED, InboxState.DEAD):
        circuit_breaker.look(handler, outcome.failure.fingerprint)


def _result(outcome: AttemptOutcome, raw: bytes | None = None, wait: float | None = None) -> InboxUpdate:
    failure = outcome.failure
    return InboxUpdate(outcome.state, outcome.attempts, failure.fingerprint or None, failure.error, raw, wait)


def killed(entry: Entry, type_name: str, raw: bytes, deaths: int) -> Letter:
    """Return the letter of an event that is not tried again: `deaths` processes died over it, one after another."""
    failure = Failure(KILLED, f"{deaths} processes died one after another while they handled it")
    return Letter(entry, type_name, KILLED, failure, deaths, raw, parks=True)


def unreadable(entry: Entry, raw: bytes, error: str) -> None:
    """Keep a queued event that today's code can't read as a dead letter; its key stays parked."""
    failure = Failure("InvalidRecord: queued", error)
    dead_letters.keep([Letter(entry, "", "unreadable", failure, 0, raw, parks=True)])
