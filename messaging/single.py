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

from django.db import transaction

from messaging import deadletters, inbox, outbox, positions
from messaging.batch import Letter, Work, deliver, run, work_of
from messaging.conf import conf
from messaging.context import in_hand
from messaging.errors import PartitionStopped
from messaging.failures import Kind, fingerprint, kind_of
from messaging.outbox import Envelope
from messaging.positions import Fetched
from messaging.record import Received
from messaging.registry import Handler
from messaging.states import InboxState

logger = logging.getLogger(__name__)

#: Longest pause between two immediate attempts, in seconds; the transaction is open meanwhile, so it stays short.
PAUSE_SECONDS = 0.05


def handle_singly(group: str, batch: Sequence[Fetched]) -> None:
    """Handle the records one by one, each in its own transaction.

    PartitionStopped, naming the place, at an event that can't be handled; what came before it stays done.
    """
    for one in split(batch):
        handle_one(group, one)


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
    """Handle one record in a transaction of its own. PartitionStopped when it can't be; nothing is then written."""
    with transaction.atomic(), outbox.gather() as envelopes:
        positions.lock_and_compare(group, [one])
        work = _read(one.records[0], group)
        if work:
            deadletters.keep(attempt_all(work, envelopes))
        outbox.insert(envelopes)
        positions.move(group, {one.place: one.end})


def _read(record: Any, group: str) -> Work | None:
    try:
        work = work_of(record, group, datetime.now(UTC))
        if work:
            deliver(work.record)
        return work
    except Exception as error:
        raise PartitionStopped(_where(record) + f" can't be read: {error}") from error


def attempt_all(work: Work, envelopes: list[Envelope]) -> list[Letter]:
    new = inbox.insert_new([(work.record, handler) for handler in work.handlers])
    letters: list[Letter] = []
    for handler in work.handlers:
        if (work.record.event_id, handler.name) in new:
            letters += _attempt(handler, work.record, envelopes)
    return letters


def _attempt(handler: Handler, record: Received, envelopes: list[Envelope]) -> list[Letter]:
    """Try the handler 1..N times; when all are used up, let it give its failure answer."""
    limit = handler.retries.immediate or conf().retry_immediate
    for attempt in range(1, limit + 1):
        published = len(envelopes)
        try:
            with transaction.atomic():
                return run(handler, [deliver(record, attempt)], {record.event_id: record})
        except Exception as error:
            del envelopes[published:]
            if kind_of(error, handler.retries.on) is Kind.OUTAGE:
                raise
            logger.warning("%s attempt %s of %s: %s: %r", handler.name, attempt, limit, record.event_id, error)
            failure = error
        time.sleep(random.uniform(0, PAUSE_SECONDS))
    _exhaust(handler, record, limit, failure)
    return []


def _exhaust(handler: Handler, record: Received, attempts: int, error: Exception) -> None:
    """Give the failure answer in this transaction. PartitionStopped for a handler that has none."""
    if handler.on_exhausted is None:
        raise PartitionStopped(
            f"{_where(record)}: {handler.name} failed {attempts} times and declares no failure answer: {error!r}"
        ) from error
    delivery = deliver(record, attempts)
    token = in_hand.set(delivery.context)
    try:
        handler.on_exhausted(delivery.event, delivery.context)
    finally:
        in_hand.reset(token)
    inbox.mark(
        record,
        handler,
        InboxState.EXHAUSTED,
        attempts=attempts,
        fingerprint=fingerprint(error),
        error=repr(error)[:2000],
    )


def _where(record: Any) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
