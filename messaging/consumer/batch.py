"""One batch, one transaction: compare the positions, insert the inbox rows, run the handlers, record what they say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import transaction

from messaging.consumer.waves import waves_of
from messaging.context import Delivery, in_hand
from messaging.error_kinds import Failure
from messaging.inbox import positions, rows
from messaging.inbox.decoding import Item, Poison, Work, read_all
from messaging.inbox.positions import Fetched
from messaging.inbox.rows import Entry, entry_of
from messaging.kafka.records import packed
from messaging.outbox.publish import gather
from messaging.parking import dead_letters, pauses
from messaging.parking.dead_letters import Letter
from messaging.parking.keys import Parked, ToPark, lock_parked, park
from messaging.registry import Handler


def handle_batch(group: str, batch: Sequence[Fetched]) -> None:
    """Handle everything that one poll gave, in one transaction.

    PositionMoved when another worker has gone on, Paused when an operator has stopped a topic. Whatever a handler
    raises: the transaction is rolled back whole.
    """
    records = [record for fetched in batch for record in fetched.records]
    items = read_all(records, group, datetime.now(UTC))
    with transaction.atomic(), gather():
        positions.lock_and_compare(group, batch)
        pauses.refuse({fetched.topic for fetched in batch})
        apply(group, items)
        positions.move(group, {fetched.place: fetched.end for fetched in batch})


def apply(group: str, items: Sequence[Item]) -> None:
    """Insert the inbox rows and run the handlers on what is new, in waves; queue what is behind a parked key.

    The caller's transaction holds the positions of the items' partitions.
    """
    sorted_out = sort_out(group, items)
    letters = list(sorted_out.letters)
    for wave in waves_of(sorted_out.fresh):
        for handler, deliveries in wave.items():
            letters += run(handler, deliveries, sorted_out.works)
    dead_letters.keep(letters)


@dataclass
class SortedOut:
    """What is to be done with a batch: events for handlers, and dead letters. The rest is queued already."""

    works: dict[str, Work] = field(default_factory=dict)
    fresh: list[tuple[Delivery, Handler]] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)


def sort_out(group: str, items: Sequence[Item]) -> SortedOut:
    """Insert the inbox rows, then lock the parked keys of the batch, and queue what stands behind one of them."""
    found = SortedOut()
    once = _once(items)
    new = rows.insert_new([entry for item in once for entry in item.entries()])
    parked = lock_parked(item.place for item in once)
    waiting: list[tuple[Entry, bytes]] = []
    to_park: list[ToPark] = []
    for item in once:
        if isinstance(item, Poison):
            _sort_poison(item, new, parked, found, to_park)
        elif item.place in parked:
            waiting += _waiting(item, new)
        else:
            found.works[item.record.event_id] = item
            found.fresh += _fresh(item, new)
    park(group, to_park)
    rows.queue(waiting)
    return found


def _once(items: Sequence[Item]) -> list[Item]:
    """Leave out events whose id stands in the batch before."""
    seen: dict[str, Item] = {}
    for item in items:
        identity = item.record.event_id if isinstance(item, Work) else item.entries()[0].event_id
        seen.setdefault(identity, item)
    return list(seen.values())


def _sort_poison(
    poison: Poison,
    new: Collection[tuple[str, str]],
    parked: set[Parked],
    found: SortedOut,
    to_park: list[ToPark],
) -> None:
    """Make a dead letter of it, and let the later events of its key wait behind it."""
    if poison.entries()[0].identity not in new:
        return
    found.letters.append(dead_letters.letter_of(poison))
    if poison.key:
        parked.add(poison.place)
        to_park.append(ToPark(*poison.place, poison.record.partition))


def _waiting(work: Work, new: Collection[tuple[str, str]]) -> list[tuple[Entry, bytes]]:
    raw = packed(work.record.raw)
    return [(entry, raw) for entry in work.entries() if entry.identity in new]


def _fresh(work: Work, new: Collection[tuple[str, str]]) -> list[tuple[Delivery, Handler]]:
    event_id = work.record.event_id
    handlers = [handler for handler in work.handlers if (event_id, handler.name) in new]
    delivery = work.delivery() if handlers else None
    return [(delivery, handler) for handler in handlers if delivery]


def run(handler: Handler, deliveries: Sequence[Delivery], works: dict[str, Work]) -> list[Letter]:
    """Call a handler with its wave. Returns the events that the batch form declared dead.

    DeadLetter passes through: only event by event, in a savepoint, can such an event's own work be undone.
    """
    if handler.batch:
        dead = handler.function(deliveries) or []
        return [declared_dead(works[delivery.context.event_id], handler, reason) for delivery, reason in dead]
    for delivery in deliveries:
        token = in_hand.set(delivery.context)
        try:
            handler.function(delivery.event, delivery.context)
        finally:
            in_hand.reset(token)
    return []


def declared_dead(work: Work, handler: Handler, reason: str, detail: str = "", attempts: int = 1) -> Letter:
    """Return the letter of an event that its handler declared dead: nothing waits for it, so its key goes on."""
    record = work.record
    failure = Failure(error=detail)
    return Letter(entry_of(record, handler), record.type, reason, failure, attempts, packed(record.raw), parks=False)
