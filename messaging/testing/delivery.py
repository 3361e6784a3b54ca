"""Giving events to the handlers, in every way in which they can come."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import transaction

from messaging.conf import default_group
from messaging.consumer.batch import apply
from messaging.consumer.one_by_one import apply_one_by_one
from messaging.event import Event, encode, spec_of
from messaging.ids import new_id
from messaging.inbox.decoding import work_of
from messaging.kafka.records import RawRecord, Received, received
from messaging.outbox.publish import gather
from messaging.registry import Handler, handlers_of
from messaging.testing.crashes import Crash, CrashPoint, Dying

_offsets = itertools.count()


def record_of(event: Event, *, event_id: str | None = None, correlation_id: str | None = None) -> Received:
    """Return the event as a record that was just read from its topic, at the next offset of partition 0."""
    spec = spec_of(type(event))
    key = str(getattr(event, spec.key))
    identity = event_id or str(new_id())
    now = datetime.now(UTC)
    headers = {"ce_id": identity, "ce_type": spec.type, "ce_source": spec.source, "ce_subject": key}
    if correlation_id:
        headers["ce_correlationid"] = correlation_id
    pairs: list[tuple[str, bytes | None]] = [(name, text.encode()) for name, text in headers.items()]
    milliseconds = int(now.timestamp() * 1000)
    raw = RawRecord(spec.topic, 0, next(_offsets), milliseconds, key.encode(), pairs, encode(event))
    return received(raw, now)


def deliver(*events: Event | Received, group: str | None = None, singly: bool = False) -> None:
    """Handle the events in this order: as one batch in one transaction, or each in a transaction of its own.

    Give a record from record_of() twice to deliver it twice. `singly` is what the consumer does after a batch failed:
    attempts, savepoints and failure answers included.
    """
    handle(records_of(events), group or default_group(), singly=singly)


def records_of(events: Sequence[Event | Received]) -> list[Received]:
    return [event if isinstance(event, Received) else record_of(event) for event in events]


def handle(records: Sequence[Received], group: str, *, singly: bool, dying: Dying | None = None) -> None:
    double = dying.double if dying else lambda handler: handler
    works = [work_of(record, [double(each) for each in _handlers(record, group)]) for record in records]
    for part in [[work] for work in works] if singly else [works]:
        with transaction.atomic(), gather():
            if singly:
                apply_one_by_one(group, part[0])
            else:
                apply(group, part)
            if dying:
                dying.die(CrashPoint.BEFORE_COMMIT)
        if dying:
            dying.die(CrashPoint.AFTER_COMMIT)


def _handlers(record: Received, group: str) -> list[Handler]:
    return handlers_of(record.type, record.topic, group, default_group())


def deliver_twice(*events: Event | Received, group: str | None = None, singly: bool = False) -> None:
    """Deliver each event twice in one batch, and the whole again in a later one, as after a lost offset."""
    records = records_of(events)
    deliver(*(record for record in records for _ in range(2)), group=group, singly=singly)
    deliver(*records, group=group, singly=singly)


def deliver_late(
    event: Event | Received, *, after: Sequence[Event | Received], group: str | None = None, singly: bool = False
) -> None:
    """Deliver an event that occurred before `after`, but comes when those have been handled."""
    [late] = records_of([event])
    deliver(*after, group=group, singly=singly)
    deliver(late, group=group, singly=singly)


def deliver_with_a_crash(
    *events: Event | Received, at: CrashPoint, group: str | None = None, singly: bool = False
) -> None:
    """Deliver the events; the process dies at this point of the first transaction, and another one is given them again.

    AssertionError when no handler was called, so that nothing could die.
    """
    records = records_of(events)
    dying = Dying(at)
    try:
        handle(records, group or default_group(), singly=singly, dying=dying)
    except Crash:
        dying.died = dying.calls > 0
    if not dying.died:
        raise AssertionError(f"no handler was called with {', '.join(record.type for record in records)}")
    deliver(*records, group=group, singly=singly)
