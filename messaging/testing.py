"""For the tests of services: give events to the handlers as the consumer would, and see what was published.

    deliver(OrderCreated(...))          # through the inbox and the handlers, in one transaction
    assert published(StockReduced) == [StockReduced(...)]

Needs a real PostgreSQL (`pytest.mark.django_db(transaction=True)`) and no Kafka.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from django.db import transaction

from messaging import outbox
from messaging.batch import apply
from messaging.event import Event, decode, encode, spec_of
from messaging.ids import new_id
from messaging.reading import default_group, work_of
from messaging.record import RawRecord, Received, received
from messaging.registry import Handler, handlers_of
from messaging.single import apply_singly

E = TypeVar("E", bound=Event)

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
    records = [event if isinstance(event, Received) else record_of(event) for event in events]
    works = [work_of(record, _handlers(record, group)) for record in records]
    for part in [[work] for work in works] if singly else [works]:
        with transaction.atomic(), outbox.gather():
            if singly:
                apply_singly(group or default_group(), part[0])
            else:
                apply(group or default_group(), part)


def _handlers(record: Received, group: str | None) -> list[Handler]:
    return handlers_of(record.type, record.topic, group or default_group(), default_group())


def published(kind: type[E] | None = None) -> Sequence[E]:
    """Return the events in the outbox, oldest first; of one class when it is given."""
    from messaging.models import OutboxRow

    rows = OutboxRow.objects.filter(raw__isnull=True).order_by("id").values_list("type", "data")
    events = [decode(type_name, bytes(data)) for type_name, data in rows]
    return [event for event in events if kind is None or isinstance(event, kind)]  # type: ignore[misc]


def forget_published() -> None:
    """Empty the outbox, as if the relay had run."""
    from messaging.models import OutboxRow

    OutboxRow.objects.all().delete()
