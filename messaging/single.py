"""Event by event: how the one at fault in a failed batch is found, tried again, and answered for.

Each event has a transaction of its own with every check made anew. Each attempt runs in a savepoint; its outcome is
written in the same transaction, under the locks that it began with.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from messaging import deadletters, inbox, outbox, positions
from messaging.batch import Letter, Work, deliver, run, work_of
from messaging.conf import conf
from messaging.context import in_hand
from messaging.database import takes_writes
from messaging.errors import ConnectionLost, DeadLetter, PartitionStopped
from messaging.failures import STATEMENT_TIMEOUT, Kind, fingerprint, kind_of, sqlstate
from messaging.positions import Fetched
from messaging.record import Received
from messaging.registry import Handler
from messaging.states import InboxState

logger = logging.getLogger(__name__)

#: Longest pause between two immediate attempts, in seconds; the transaction is open meanwhile, so it stays short.
PAUSE_SECONDS = 0.05


def split(batch: Sequence[Fetched]) -> Iterator[Fetched]:
    """Cut each partition's records into pieces of one, whose positions join up without a gap."""
    for fetched in batch:
        start = fetched.start
        for index, record in enumerate(fetched.records):
            last = index == len(fetched.records) - 1
            end = fetched.end if last else record.offset + 1
            yield Fetched(fetched.topic, fetched.partition, start, end, [record])
            start = end


def handle_one(group: str, one: Fetched) -> None:
    """Handle one record in a transaction of its own.

    PartitionStopped when it can't be handled, and nothing is written. An outage, and what another worker is in the way
    of, pass through.
    """
    try:
        with transaction.atomic(), outbox.gather():
            positions.lock_and_compare(group, [one])
            work = _read(one.records[0], group)
            if work:
                deadletters.keep(attempt_all(work))
            positions.move(group, {one.place: one.end})
    except PartitionStopped:
        raise
    except Exception as error:
        if kind_of(error) is not Kind.BUG:
            raise
        raise PartitionStopped(f"{_where(one.records[0])} can't be handled: {error!r}") from error


def _read(record: Any, group: str) -> Work | None:
    try:
        work = work_of(record, group, datetime.now(UTC))
        if work:
            deliver(work.record)
        return work
    except Exception as error:
        raise PartitionStopped(_where(record) + f" can't be read: {error}") from error


def attempt_all(work: Work) -> list[Letter]:
    """Try each handler that has not seen the event. Returns what is to be dead-lettered."""
    new = inbox.insert_new([(work.record, handler) for handler in work.handlers])
    letters: list[Letter] = []
    for handler in work.handlers:
        if (work.record.event_id, handler.name) in new:
            letters += _attempt(handler, work.record)
    return letters


def _attempt(handler: Handler, record: Received) -> list[Letter]:
    """Try the handler 1..N times; when all are used up, let it give its failure answer."""
    limit = handler.retries.immediate or conf().retry_immediate
    failure: Exception | None = None
    for attempt in range(1, limit + 1):
        if failure is not None:
            time.sleep(random.uniform(0, PAUSE_SECONDS))
        try:
            letters = _in_savepoint(handler, record, attempt)
            if attempt > 1:
                inbox.mark(record, handler, inbox.Result(InboxState.DONE, attempt))
            return letters
        except Exception as error:
            _raise_outage(error, handler)
            logger.warning("%s attempt %s of %s: %s: %r", handler.name, attempt, limit, record.event_id, error)
            failure = error
    return _exhaust(handler, record, limit, failure or AssertionError("no attempt was made"))


def _in_savepoint(handler: Handler, record: Received, attempt: int) -> list[Letter]:
    """Make one attempt. What it wrote and published is undone when it fails, and when it declares the event dead."""
    try:
        with transaction.atomic():
            return run(handler, [deliver(record, attempt)], {record.event_id: record})
    except DeadLetter as dead:
        return [(record, handler, dead.reason, dead.detail)]


def _raise_outage(error: Exception, handler: Handler) -> None:
    """Raise what no attempt may be counted for: an outage, also one that the handler turned into another error."""
    if kind_of(error, handler.retries.on) is Kind.OUTAGE:
        raise error
    if connection.needs_rollback or not connection.is_usable():
        raise ConnectionLost(f"the database connection was lost in {handler.name}") from error
    if sqlstate(error) == STATEMENT_TIMEOUT and not takes_writes():
        raise ConnectionLost("not even a trivial write gets through: the database stands still") from error


def _exhaust(handler: Handler, record: Received, attempts: int, error: Exception) -> list[Letter]:
    """Give the failure answer in this transaction. PartitionStopped for a handler that has none."""
    if handler.on_exhausted is None:
        raise PartitionStopped(
            f"{_where(record)}: {handler.name} failed {attempts} times and declares no failure answer: {error!r}"
        ) from error
    delivery = deliver(record, attempts)
    token = in_hand.set(delivery.context)
    try:
        with transaction.atomic():
            handler.on_exhausted(delivery.event, delivery.context)
    except DeadLetter as dead:
        return [(record, handler, dead.reason, dead.detail)]
    finally:
        in_hand.reset(token)
    result = inbox.Result(InboxState.EXHAUSTED, attempts, fingerprint(error), repr(error))
    inbox.mark(record, handler, result)
    return []


def _where(record: Any) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
