"""A record as it stands on Kafka: CloudEvents 1.0, binary mode. Headers out, headers in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from messaging.context import Context
from messaging.errors import InvalidRecord
from messaging.outbox import Envelope

REQUIRED_HEADERS = ("ce_id", "ce_source", "ce_type")
MAX_EVENT_ID = 255


@dataclass(frozen=True, slots=True)
class Received:
    """A record that can be handled: its place, its id, type and key, its headers and raw value."""

    topic: str
    partition: int
    offset: int
    event_id: str
    type: str
    key: str
    occurred_at: datetime
    received_at: datetime
    correlation_id: str
    headers: dict[str, str]
    data: bytes

    def context(self, attempt: int = 1) -> Context:
        """Return what the handler is told of this record."""
        return Context(
            event_id=self.event_id,
            type=self.type,
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            key=self.key,
            occurred_at=self.occurred_at,
            received_at=self.received_at,
            correlation_id=self.correlation_id,
            causation_id=self.headers.get("ce_causationid"),
            attempt=attempt,
            headers=self.headers,
            data=self.data,
        )


def headers_out(envelope: Envelope) -> list[tuple[str, bytes]]:
    """Return the Kafka headers of an event."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.event_id.encode()),
        ("ce_source", b"/" + envelope.type.split(".", 1)[0].encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_subject", envelope.key.encode()),
        ("ce_time", envelope.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
        ("content-type", b"application/json"),
        ("ce_correlationid", envelope.correlation_id.encode()),
    ]
    if envelope.causation_id:
        headers.append(("ce_causationid", envelope.causation_id.encode()))
    if envelope.extra:
        headers += [(name, value.encode()) for name, value in msgspec.json.decode(envelope.extra).items()]
    return headers


def received(record: Any, received_at: datetime) -> Received:
    """Read a Kafka record (an object as kafka-python's ConsumerRecord). InvalidRecord says what is wrong with it."""
    try:
        headers = {name: (value or b"").decode() for name, value in record.headers}
        key = (record.key or b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidRecord("a header or the key is not UTF-8") from error
    missing = [name for name in REQUIRED_HEADERS if not headers.get(name)]
    if missing:
        raise InvalidRecord(f"the CloudEvents headers {', '.join(missing)} are missing")
    if len(headers["ce_id"]) > MAX_EVENT_ID or "\x00" in headers["ce_id"] + key:
        raise InvalidRecord(f"ce_id is longer than {MAX_EVENT_ID} characters, or has a zero character")
    if not key:
        raise InvalidRecord("the record has no key")
    if record.value is None:
        raise InvalidRecord("the record has no value (a tombstone)")
    return Received(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        event_id=headers["ce_id"],
        type=headers["ce_type"],
        key=key,
        occurred_at=_time(headers.get("ce_time"), record.timestamp),
        received_at=received_at,
        correlation_id=headers.get("ce_correlationid") or key,
        headers=headers,
        data=record.value,
    )


def _time(text: str | None, timestamp_ms: int) -> datetime:
    if not text:
        return datetime.fromtimestamp(max(timestamp_ms, 0) / 1000, UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRecord(f"ce_time is not RFC 3339: {text[:40]!r}") from error
    if time.tzinfo is None:
        raise InvalidRecord(f"ce_time has no zone: {text[:40]!r}")
    return time.astimezone(UTC)
