"""Records as kafka-python gives them, made by hand, for what needs no broker."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings

from messaging import new_id
from messaging.event import Event, encode, spec_of
from messaging.inbox import positions
from messaging.inbox.positions import Fetched


@dataclass(frozen=True)
class Record:
    """The part of a ConsumerRecord that the library reads."""

    key: bytes | None = b"k"
    value: bytes | None = b"{}"
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    topic: str = "sample.events"
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_700_000_000_000


def record_of(event: Event, *, event_id: str | None = None, **changes: Any) -> Record:
    """Return a well-formed record of an event."""
    spec = spec_of(type(event))
    headers: list[tuple[str, bytes | None]] = [
        ("ce_id", (event_id or str(new_id())).encode()),
        ("ce_source", spec.source.encode()),
        ("ce_type", spec.type.encode()),
    ]
    key = str(getattr(event, spec.key)).encode()
    return replace(Record(key=key, value=encode(event), headers=headers, topic=spec.topic), **changes)


def fetched(group: str, *records: Record, partition: int = 0) -> Fetched:
    """Return the records as one poll would give them, from the group's present position."""
    topic = settings.SAMPLE_TOPIC
    start = positions.read(group, [(topic, partition)])[(topic, partition)]
    placed = [replace(each, partition=partition, offset=start + index) for index, each in enumerate(records)]
    return Fetched(topic, partition, start, start + len(placed), placed)
