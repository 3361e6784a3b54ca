"""A record as it is read from Kafka: CloudEvents 1.0, binary mode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from kafka.partitioner.default import murmur2

from messaging.context import Context
from messaging.database import storable
from messaging.errors import InvalidRecord
from messaging.event import MAX_KEY

REQUIRED_HEADERS = ("ce_id", "ce_source", "ce_type")
MAX_EVENT_ID = 255


class RawRecord(msgspec.Struct, frozen=True, array_like=True):
    """A complete record; it has the fields of kafka-python's ConsumerRecord that this library reads."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    value: bytes | None


_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder(RawRecord)


def packed(record: Any) -> bytes:
    """Return a record (RawRecord or kafka-python's) as bytes that a table can keep."""
    headers = [(name, value) for name, value in record.headers]
    return _packer.encode(
        RawRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, headers, record.value)
    )


def unpacked(data: bytes | memoryview) -> RawRecord:
    """Return the record that packed() kept."""
    return _unpacker.decode(data)


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
    raw: Any

    def context(self, attempt: int = 1) -> Context:
        """Return the context that the handler gets with the event."""
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


def received(record: Any, received_at: datetime) -> Received:
    """Read a Kafka record (an object as kafka-python's ConsumerRecord). InvalidRecord says what is wrong with it."""
    headers = _headers_in(record.headers)
    missing = [name for name in REQUIRED_HEADERS if not headers.get(name)]
    if missing:
        raise InvalidRecord(f"the CloudEvents headers {', '.join(missing)} are missing")
    if len(headers["ce_id"]) > MAX_EVENT_ID or any("\x00" in headers[name] for name in REQUIRED_HEADERS):
        raise InvalidRecord(f"ce_id is longer than {MAX_EVENT_ID} characters, or a header has a zero character")
    if record.value is None:
        raise InvalidRecord("the record has no value (a tombstone)", reason="tombstone")
    key = _key_in(record.key)
    return Received(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        event_id=headers["ce_id"],
        type=headers["ce_type"],
        key=key,
        occurred_at=_time(headers.get("ce_time"), record.timestamp, received_at),
        received_at=received_at,
        correlation_id=_correlation_id(headers, key),
        headers=headers,
        data=record.value,
        raw=record,
    )


def type_of(record: Any) -> str:
    """Return a record's event type. InvalidRecord when it has none that can be read."""
    for name, value in record.headers:
        if name == "ce_type" and value:
            try:
                return bytes(value).decode()
            except UnicodeDecodeError as error:
                raise InvalidRecord("the header ce_type is not UTF-8") from error
    raise InvalidRecord("the CloudEvents header ce_type is missing")


def place_of(record: Any) -> str:
    """Return `topic/partition/offset` of a record or an inbox entry; it names one that has no id."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def newest_partition(key: bytes, partitions: int) -> int:
    """Return the partition to which Kafka's own partitioner sends a key, of a topic with so many partitions."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def readable_key(record: Any) -> str:
    """Return the record's key, or '' when it has no readable one."""
    try:
        return _key_in(record.key)
    except InvalidRecord:
        return ""


def _headers_in(pairs: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Return the headers, the first of each name. Those that are not CloudEvents' may hold any bytes.

    An optional one of CloudEvents' with a zero character counts as missing: PostgreSQL could not keep it.
    """
    headers: dict[str, str] = {}
    for name, value in pairs:
        try:
            text = (value or b"").decode()
        except UnicodeDecodeError as error:
            if name.startswith("ce_"):
                raise InvalidRecord(f"the header {name} is not UTF-8") from error
            text = (value or b"").decode(errors="replace")
        if name in REQUIRED_HEADERS:
            headers.setdefault(name, text)
        elif not (name.startswith("ce_") and "\x00" in text):
            headers.setdefault(name, storable(text))
    return headers


def _key_in(raw: bytes | None) -> str:
    try:
        key = (raw or b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidRecord("the key is not UTF-8") from error
    if not key or "\x00" in key:
        raise InvalidRecord("the record has no key, or one with a zero character")
    if len(raw or b"") > MAX_KEY:
        raise InvalidRecord(f"the key has {len(raw or b'')} bytes; at most {MAX_KEY} can be kept")
    return key


def _correlation_id(headers: dict[str, str], key: str) -> str:
    given = headers.get("ce_correlationid", "")
    return given if 0 < len(given) <= MAX_EVENT_ID and "\x00" not in given else key


def _time(text: str | None, timestamp_ms: int, received_at: datetime) -> datetime:
    try:
        time = datetime.fromisoformat(text) if text else datetime.fromtimestamp(max(timestamp_ms, 0) / 1000, UTC)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if not text:
            return received_at
        raise InvalidRecord(f"ce_time is not RFC 3339: {text[:40]!r}") from error
    raise InvalidRecord(f"ce_time has no zone: {(text or '')[:40]!r}")
