"""An event on its way out, and the record that it becomes: CloudEvents 1.0, binary mode."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import msgspec

from messaging.kafka.records import unpacked


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event on its way out: what a row of the outbox holds."""

    event_id: str
    topic: str
    key: str
    type: str
    occurred_at: datetime
    correlation_id: str
    causation_id: str | None
    extra: str
    data: bytes
    #: A packed record to send unchanged, in place of the fields above.
    raw: bytes | None = None


def record_out(envelope: Envelope) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Return the key, value and headers of the event's record."""
    if envelope.raw is None:
        return envelope.key.encode(), envelope.data, headers_out(envelope)
    record = unpacked(envelope.raw)
    return record.key, record.value, [(name, value or b"") for name, value in record.headers]


def headers_out(envelope: Envelope) -> list[tuple[str, bytes]]:
    """Return the Kafka headers of an event."""
    headers = [
        *_headers_of_type(envelope.type),
        ("ce_id", envelope.event_id.encode()),
        ("ce_subject", envelope.key.encode()),
        ("ce_time", envelope.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
        ("ce_correlationid", envelope.correlation_id.encode()),
    ]
    if envelope.causation_id:
        headers.append(("ce_causationid", envelope.causation_id.encode()))
    if envelope.extra:
        headers += [(name, value.encode()) for name, value in msgspec.json.decode(envelope.extra).items()]
    return headers


@cache
def _headers_of_type(type_name: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", type_name.encode()),
        ("ce_source", b"/" + type_name.split(".", 1)[0].encode()),
        ("content-type", b"application/json"),
    )
