"""One batch, one transaction: compare the positions, insert the inbox rows, run the handlers, store the outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import connection, transaction

from messaging.consumer.waves import waves_of
from messaging.context import Delivery, current_context
from messaging.error_kinds import Failure
from messaging.errors import ConnectionClosed, SwallowedDatabaseError
from messaging.inbox import identity, positions, rows
from messaging.inbox.decoding import Item, Poison, Work, read_all
from messaging.inbox.positions import Fetched
from messaging.inbox.rows import Entry
from messaging.kafka.records import packed, place_of
from messaging.outbox.publish import gather
from messaging.parking import dead_letters, pauses
from messaging.parking.dead_letters import Letter
from messaging.parking.keys import Parked, ToPark, lock_parked, park
from messaging.registry import Handler


def handle_batch(group: str, batch: Sequence[Fetched]) -> None:
    """Handle the records of one poll in one transaction.

    PositionMoved when another worker has moved a position, Paused when an operator has paused a topic. Any exception of
    a handler rolls back the whole transaction.
    """
    records = [record for fetched in batch for record in fetched.records]
    items = read_all(records, group, datetime.now(UTC))
    with transaction.atomic(), gather():
        positions.lock_and_compare(group, batch)
        pauses.refuse({fetched.topic for fetched in batch})
        apply(group, items)
        positions.move(
            group,
            {fetched.place: fetched.end for fetched in batch},
            {fetched.place: fetched.leader_epoch for fetched in batch},
        )


def apply(group: str, items: Sequence[Item]) -> None:
    """Insert the inbox rows, run the handlers on new events in waves, and queue events of parked keys.

    The caller's transaction holds the position rows of the items' partitions.
    """
    sorted_out = sort_out(group, items)
    letters = list(sorted_out.letters)
    for wave in waves_of(sorted_out.fresh):
        for handler, deliveries in wave.items():
            letters += run(handler, deliveries, sorted_out.works)
    dead_letters.keep(letters)


@dataclass
class SortedOut:
    """A sorted batch: new events with their handlers, events of parked keys, keys to park, and dead letters."""

    works: dict[str, Work] = field(default_factory=dict)  # by their place in the log
    fresh: list[tuple[Delivery, Handler]] = field(default_factory=list)
    queued: list[tuple[Entry, bytes]] = field(default_factory=list)
    to_park: list[ToPark] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)


def sort_out(group: str, items: Sequence[Item]) -> SortedOut:
    """Insert the inbox rows, lock the parked keys of the batch, and queue the events behind them."""
    found = SortedOut()
    once = _once(items)
    new = identity.insert_new(entry for item in once for entry in item.entries)
    parked = lock_parked(item.place for item in once)
    for item in once:
        if isinstance(item, Poison):
            _sort_poison(item, new.get(item.entry), parked, found)
            continue
        work = item.with_rows(new)
        if work.place in parked:
            found.queued += [(entry, packed(work.record.raw)) for entry in work.entries]
        else:
            found.works[place_of(work.record)] = work
            found.fresh += [(work.delivery, handler) for handler in work.handlers]
    park(group, found.to_park)
    rows.queue(found.queued)
    return found


def _once(items: Sequence[Item]) -> list[Item]:
    """Drop events whose source and id occur earlier in the batch."""
    seen: dict[object, Item] = {}
    for item in items:
        seen.setdefault(item.identity, item)
    return list(seen.values())


def _sort_poison(poison: Poison, new: Entry | None, parked: set[Parked], found: SortedOut) -> None:
    """Make a new one a dead letter, and park its key so that later events wait behind it."""
    if new is None:
        return
    found.letters.append(dead_letters.letter_of(poison, new))
    if poison.parks:
        parked.add(poison.place)
        found.to_park.append(ToPark(*poison.place, poison.record.partition))


def run(handler: Handler, deliveries: Sequence[Delivery], works: dict[str, Work]) -> list[Letter]:
    """Call a handler with its wave. Returns dead letters of the events that the batch form declared dead.

    `works`: the events by their place in the log.

    DeadLetter passes through: only one by one, in a savepoint, can the work of that event alone be undone.
    """
    if handler.batch:
        dead = handler.function(deliveries) or []
        check_transaction(handler, deliveries[0].context.attempt)
        return [declared_dead(works[place_of(delivery.context)], handler, reason) for delivery, reason in dead]
    for delivery in deliveries:
        token = current_context.set(delivery.context)
        try:
            handler.function(delivery.event, delivery.context)
        finally:
            current_context.reset(token)
        check_transaction(handler, delivery.context.attempt)
    return []


def check_transaction(handler: Handler, attempt: int) -> None:
    """Raise when the handler has returned, but Django would roll back what it wrote, without an error."""
    if connection.closed_in_transaction:
        raise ConnectionClosed(handler.name, attempt)
    if connection.needs_rollback:
        raise SwallowedDatabaseError(handler.name)


def declared_dead(work: Work, handler: Handler, reason: str, detail: str = "", attempts: int = 1) -> Letter:
    """Return the letter of an event that its handler declared dead. It parks nothing: the key continues."""
    record = work.record
    failure = Failure(error=detail)
    entry = work.entry_at(handler)
    return Letter(entry, record.type, reason, failure, attempts, packed(record.raw), parks=False)
