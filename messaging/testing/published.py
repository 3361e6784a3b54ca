"""What handlers published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from messaging.event import Event, decode

E = TypeVar("E", bound=Event)


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


def published_bytes() -> list[tuple[str, bytes]]:
    """Return types and data of the events in the outbox, by key: between keys a batch has an order of its own."""
    from messaging.models import OutboxRow

    rows = OutboxRow.objects.filter(raw__isnull=True).order_by("key", "id").values_list("type", "data")
    return [(type_name, bytes(data)) for type_name, data in rows]
