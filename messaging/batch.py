"""One batch, one transaction: compare the positions, insert the inbox rows, run the handlers, record what they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from messaging import deadletters, inbox, outbox, positions
from messaging.conf import conf
from messaging.context import Delivery, in_hand
from messaging.errors import InvalidRecord
from messaging.event import decode, spec_of
from messaging.positions import Fetched
from messaging.record import Received, received
from messaging.registry import Handler, handlers_of
from messaging.waves import waves_of


@dataclass(frozen=True, slots=True)
class Work:
    """A record and the handlers that want it (none: its type is nobody's here, and it is passed over)."""

    record: Received
    handlers: list[Handler]


Letter = tuple[Received, Handler, str, str]


def work_of(record: Any, group: str, received_at: datetime) -> Work | None:
    """Read a Kafka record; None when no handler of the group wants its type. InvalidRecord says what is wrong."""
    handlers = handlers_of(_type_of(record), record.topic, group, default_group())
    return Work(received(record, received_at), handlers) if handlers else None


def default_group() -> str:
    """Return the service's first consumer group."""
    return next(iter(conf().groups), "")


def _type_of(record: Any) -> str:
    for name, value in record.headers:
        if name == "ce_type":
            return bytes(value or b"").decode(errors="replace")
    return ""


def handle_batch(group: str, batch: Sequence[Fetched]) -> None:
    """Handle everything that one poll gave, in one transaction.

    PositionMoved when another worker has gone on. Whatever a handler raises: the transaction is rolled back whole.
    """
    now = datetime.now(UTC)
    works = [work for fetched in batch for record in fetched.records if (work := work_of(record, group, now))]
    with transaction.atomic(), outbox.gather():
        positions.lock_and_compare(group, batch)
        deadletters.keep(apply(works))
        positions.move(group, {fetched.place: fetched.end for fetched in batch})


def apply(works: Iterable[Work]) -> list[Letter]:
    """Insert the inbox rows and run the handlers on what is new, in waves. Returns what is to be dead-lettered."""
    once: dict[str, Work] = {}
    for work in works:
        once.setdefault(work.record.event_id, work)
    pairs = [(work.record, handler) for work in once.values() for handler in work.handlers]
    new = inbox.insert_new(pairs)
    records = {event_id: work.record for event_id, work in once.items()}
    deliveries = {event_id: deliver(records[event_id]) for event_id in {event_id for event_id, _ in new}}
    fresh = [
        (deliveries[record.event_id], handler) for record, handler in pairs if (record.event_id, handler.name) in new
    ]
    letters: list[Letter] = []
    for wave in waves_of(fresh):
        for handler, taken in wave.items():
            letters += run(handler, taken, records)
    return letters


def deliver(record: Received, attempt: int = 1) -> Delivery:
    """Decode a record into what a handler takes.

    InvalidRecord when it does not fit the event's schema, or is keyed by something else than the event's key.
    """
    event = decode(record.type, record.data)
    key = str(getattr(event, spec_of(type(event)).key))
    if key.lower() != record.key.lower():
        raise InvalidRecord(f"{record.type} is about {key}, and its record is keyed by {record.key[:80]}")
    return Delivery(event, record.context(attempt))


def run(handler: Handler, deliveries: Sequence[Delivery], records: dict[str, Received]) -> list[Letter]:
    """Call a handler with its wave. Returns the events that the batch form declared dead.

    DeadLetter passes through: only event by event, in a savepoint, can such an event's own work be undone.
    """
    if handler.batch:
        dead = handler.function(deliveries) or []
        return [(records[delivery.context.event_id], handler, reason, "") for delivery, reason in dead]
    for delivery in deliveries:
        token = in_hand.set(delivery.context)
        try:
            handler.function(delivery.event, delivery.context)
        finally:
            in_hand.reset(token)
    return []
