"""One by one: how the failing event of a batch is found, retried, and answered.

Each event gets its own transaction, with every check repeated. The transaction of the attempts also writes the outcome.
Only when an attempt took too long and lost its connection does a second transaction check everything again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from django.db import close_old_connections, transaction

from messaging.consumer import batch, retries
from messaging.consumer.retries import AttemptOutcome
from messaging.error_kinds import Kind, described, kind_of
from messaging.errors import PartitionStopped, SlowAttempt
from messaging.inbox import identity, positions, rows
from messaging.inbox.decoding import Item, Poison, Work, read
from messaging.inbox.positions import Fetched
from messaging.kafka.records import packed, place_of
from messaging.outbox.publish import gather
from messaging.parking import dead_letters, pauses
from messaging.parking.keys import ToPark, lock_parked, park
from messaging.registry import Handler
from messaging.states import InboxState


def split(fetched_batch: Sequence[Fetched]) -> Iterator[Fetched]:
    """Split each partition's records into pieces of one record, whose positions follow each other without a gap."""
    for fetched in fetched_batch:
        start = fetched.start
        for index, record in enumerate(fetched.records):
            last = index == len(fetched.records) - 1
            end = fetched.end if last else record.offset + 1
            epoch = fetched.leader_epoch if last else -1
            yield Fetched(fetched.topic, fetched.partition, start, end, [record], fetched.topic_id, epoch)
            start = end


def handle_one(group: str, one: Fetched, *, deaths: int = 0) -> None:
    """Handle one record in its own transaction. `deaths`: how many processes died at it, if that is too many.

    Outages, pauses and positions that another worker moved pass through. PartitionStopped when the library itself
    cannot handle the record; nothing is written then.
    """
    try:
        _until_nothing_is_lost(group, one, deaths)
    except Exception as error:
        if kind_of(error) is not Kind.BUG or isinstance(error, PartitionStopped):
            raise
        raise PartitionStopped(
            f"{place_of(one.records[0])} cannot be handled, because messaging itself failed: {described(error)}. Report"
            " the error; the partition is retried"
        ) from error


def _until_nothing_is_lost(group: str, one: Fetched, deaths: int) -> None:
    """Handle the record; once more, with every check repeated, for each handler whose attempt lost its connection."""
    slow: dict[str, SlowAttempt] = {}
    while True:
        try:
            return _handle(group, one, slow, deaths)
        except SlowAttempt as lost:
            if lost.handler in slow:
                raise
            slow[lost.handler] = lost
            close_old_connections()


def _handle(group: str, one: Fetched, slow: dict[str, SlowAttempt], deaths: int) -> None:
    [record] = one.records
    with transaction.atomic(), gather():
        positions.lock_and_compare(group, [one])
        pauses.refuse({one.topic})
        item = read(record, group, datetime.now(UTC))
        if isinstance(item, Work) and deaths:
            keep_as_dead_letter(group, item, deaths)
        elif item is not None:
            apply_one_by_one(group, item, slow)
        positions.move(group, {one.place: one.end}, {one.place: one.leader_epoch})


def apply_one_by_one(group: str, item: Item, slow: dict[str, SlowAttempt] | None = None) -> None:
    """Try each handler that has not seen the event, in order; once one parks the key, the others wait too.

    `slow`: attempts that lost their connection, by handler. The caller's transaction holds the position row.
    """
    if isinstance(item, Poison):
        batch.apply(group, [item])
        return
    work = item.with_rows(identity.insert_new(item.entries))
    handlers = list(work.handlers)
    parked = bool(lock_parked([item.place]))
    while handlers and not parked:
        handler = handlers.pop(0)
        outcome = _outcome(handler, work, slow or {})
        if outcome.parks:
            park(group, [ToPark(*item.place, item.record.partition)])
            parked = True
        if outcome != AttemptOutcome(InboxState.DONE, 1):  # the row was inserted with this outcome
            retries.write(handler, work, outcome)
    _queue(work, handlers)


def _outcome(handler: Handler, work: Work, slow: dict[str, SlowAttempt]) -> AttemptOutcome:
    if handler.name not in slow:
        return retries.attempt(handler, work)
    return retries.after_slow(handler, work, slow[handler.name])


def _queue(work: Work, handlers: Sequence[Handler]) -> None:
    raw = packed(work.record.raw)
    rows.queue([(work.entry_at(handler), raw) for handler in handlers])


def keep_as_dead_letter(group: str, work: Work, deaths: int) -> None:
    """Keep an event as a dead letter without trying it: `deaths` processes in a row died at it."""
    new = identity.insert_new(work.entries)
    record, raw = work.record, packed(work.record.raw)
    letters = [retries.killed(entry, record.type, raw, deaths) for entry in new.values()]
    if letters:
        park(group, [ToPark(*work.place, record.partition)])
    dead_letters.keep(letters)
