"""Event by event: how the one at fault in a failed batch is found, tried again, and answered for.

Each event has a transaction of its own with every check made anew. Its outcome is written in the transaction of its
attempts; only when that was lost, because an attempt took too long, a second one looks at everything again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from django.db import close_old_connections, transaction

from messaging.consumer import batch, retries
from messaging.consumer.retries import AttemptOutcome
from messaging.error_kinds import Kind, kind_of
from messaging.errors import PartitionStopped, SlowAttempt
from messaging.inbox import positions, rows
from messaging.inbox.decoding import Item, Poison, Work, read
from messaging.inbox.positions import Fetched
from messaging.inbox.rows import entry_of
from messaging.kafka.records import packed, place_of
from messaging.outbox.publish import gather
from messaging.parking import dead_letters, pauses
from messaging.parking.keys import ToPark, lock_parked, park
from messaging.registry import Handler
from messaging.states import InboxState


def split(fetched_batch: Sequence[Fetched]) -> Iterator[Fetched]:
    """Cut each partition's records into pieces of one, whose positions join up without a gap."""
    for fetched in fetched_batch:
        start = fetched.start
        for index, record in enumerate(fetched.records):
            last = index == len(fetched.records) - 1
            end = fetched.end if last else record.offset + 1
            yield Fetched(fetched.topic, fetched.partition, start, end, [record])
            start = end


def handle_one(group: str, one: Fetched, *, deaths: int = 0) -> None:
    """Handle one record in a transaction of its own. `deaths`: how many processes died over it, when it is too many.

    An outage, a pause, and what another worker is in the way of, pass through. PartitionStopped when the library
    itself can't go on with the record, and nothing is written.
    """
    try:
        try:
            _handle(group, one, {}, deaths)
        except SlowAttempt as slow:
            close_old_connections()
            _handle(group, one, {slow.handler: slow}, deaths)
    except Exception as error:
        if kind_of(error) is not Kind.BUG or isinstance(error, PartitionStopped):
            raise
        raise PartitionStopped(f"{place_of(one.records[0])} can't be handled: {error!r}") from error


def _handle(group: str, one: Fetched, slow: dict[str, SlowAttempt], deaths: int) -> None:
    [record] = one.records
    with transaction.atomic(), gather():
        positions.lock_and_compare(group, [one])
        pauses.refuse({one.topic})
        item = read(record, group, datetime.now(UTC))
        if isinstance(item, Work) and deaths:
            bury(group, item, deaths)
        elif item is not None:
            apply_singly(group, item, slow)
        positions.move(group, {one.place: one.end})


def apply_singly(group: str, item: Item, slow: dict[str, SlowAttempt] | None = None) -> None:
    """Try each handler that has not seen the event, in their order; once one parks the key, the others wait too.

    `slow`: the attempts that were lost with their connection, by handler. The caller's transaction holds the position.
    """
    if isinstance(item, Poison):
        batch.apply(group, [item])
        return
    new = rows.insert_new(item.entries())
    handlers = [handler for handler in item.handlers if (item.record.event_id, handler.name) in new]
    parked = bool(lock_parked([item.place]))
    while handlers and not parked:
        handler = handlers.pop(0)
        outcome = _outcome(handler, item, slow or {})
        if outcome.parks:
            park(group, [ToPark(*item.place, item.record.partition)])
            parked = True
        if outcome != AttemptOutcome(InboxState.DONE, 1):  # as which the row was inserted
            retries.write(handler, item, outcome)
    _queue(item, handlers)


def _outcome(handler: Handler, work: Work, slow: dict[str, SlowAttempt]) -> AttemptOutcome:
    if handler.name not in slow:
        return retries.attempt(handler, work)
    return retries.after_slow(handler, work, slow[handler.name])


def _queue(work: Work, handlers: Sequence[Handler]) -> None:
    raw = packed(work.record.raw)
    rows.queue([(entry_of(work.record, handler), raw) for handler in handlers])


def bury(group: str, work: Work, deaths: int) -> None:
    """Keep an event as a dead letter without trying it: `deaths` processes died over it, one after another."""
    new = rows.insert_new(work.entries())
    record, raw = work.record, packed(work.record.raw)
    letters = [
        retries.killed(entry_of(record, handler), record.type, raw, deaths)
        for handler in work.handlers
        if (record.event_id, handler.name) in new
    ]
    if letters:
        park(group, [ToPark(*work.place, record.partition)])
    dead_letters.keep(letters)
