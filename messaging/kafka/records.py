"""A record as it is read from Kafka: CloudEvents 1.0, in binary mode or in structured mode."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from kafka.partitioner.default import murmur2

from messaging.context import Context
from messaging.database import storable
from messaging.errors import InvalidRecord
from messaging.event import MAX_KEY, is_keyed_by_uuid
from messaging.ids import canonical_key
from messaging.kafka.structured import event_in, is_structured

logger = logging.getLogger(__name__)

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
    """A record that can be handled: its place, its id, source, type and key, its headers and its data.

    A key that is a UUID is in its canonical spelling here. `raw` is the record as it came.
    """

    topic: str
    partition: int
    offset: int
    event_id: str
    source: str
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
    headers, data = _event_in(record)
    missing = [name for name in REQUIRED_HEADERS if not headers.get(name)]
    if missing:
        raise InvalidRecord(f"the CloudEvents headers {', '.join(missing)} are missing")
    if len(headers["ce_id"]) > MAX_EVENT_ID or any("\x00" in headers[name] for name in REQUIRED_HEADERS):
        raise InvalidRecord(f"ce_id is longer than {MAX_EVENT_ID} characters, or a header has a zero character")
    if data is None:
        raise InvalidRecord("the record has no value (a tombstone)", reason="tombstone")
    key = _key_in(record)
    _count_spelling(record, key)
    return Received(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        event_id=headers["ce_id"],
        source=headers["ce_source"],
        type=headers["ce_type"],
        key=key,
        occurred_at=_time(headers.get("ce_time"), record.timestamp, received_at),
        received_at=received_at,
        correlation_id=_correlation_id(headers, key),
        headers=headers,
        data=data,
        raw=record,
    )


def type_of(record: Any) -> str:
    """Return a record's event type. InvalidRecord when it has none that can be read."""
    headers = record.headers
    if is_structured(headers):
        headers, _ = event_in(headers, record.value)
    for name, value in headers:
        if name == "ce_type" and value:
            try:
                return bytes(value).decode()
            except UnicodeDecodeError as error:
                raise InvalidRecord("the header ce_type is not UTF-8") from error
    raise InvalidRecord("the CloudEvents header ce_type is missing")


def identity_of(record: Any) -> tuple[str, str]:
    """Return a record's ce_source and ce_id, '' for one that it has not."""
    headers = record.headers
    if is_structured(headers):
        try:
            headers, _ = event_in(headers, record.value)
        except InvalidRecord:
            return "", ""
    first = dict(reversed(headers))
    source, event_id = ((first.get(name) or b"").decode(errors="ignore") for name in ("ce_source", "ce_id"))
    return source, event_id


def place_of(record: Any) -> str:
    """Return `topic/partition/offset` of a record or an inbox entry; it names one that has no id."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def newest_partition(key: bytes, partitions: int) -> int:
    """Return the partition to which Kafka's own partitioner sends a key, of a topic with so many partitions."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def readable_key(record: Any) -> str:
    """Return the record's key, or '' when it has no readable one."""
    try:
        return _key_in(record)
    except InvalidRecord:
        return ""


def _event_in(record: Any) -> tuple[dict[str, str], bytes | None]:
    """Return the headers and the data of a record's event, as binary mode has them."""
    if not is_structured(record.headers):
        return _headers_in(record.headers), record.value
    headers, data = event_in(record.headers, record.value)
    return _headers_in(headers), data


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


def _key_in(record: Any) -> str:
    raw = record.key or b""
    try:
        key = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidRecord("the key is not UTF-8") from error
    if not key or "\x00" in key:
        raise InvalidRecord("the record has no key, or one with a zero character")
    if len(raw) > MAX_KEY:
        raise InvalidRecord(f"the key has {len(raw)} bytes; at most {MAX_KEY} can be kept")
    return canonical_key(key, bare=is_keyed_by_uuid(record.topic))


#: Records of each topic whose key is a UUID in another spelling than the canonical one, since this process began.
foreign_spellings: Counter[str] = Counter()


def _count_spelling(record: Any, key: str) -> None:
    """Count a foreign spelling; log each time that the count has doubled.

    Kafka chooses the partition by the bytes of the key, so that no order holds between two spellings.
    """
    if record.key == key.encode():
        return
    foreign_spellings[record.topic] += 1
    count = foreign_spellings[record.topic]
    if count & (count - 1) == 0:
        logger.warning(
            "%s: %s records so far have a key that is a UUID in a foreign spelling, such as %r of %s. The key is %s;"
            " but such records may be in another partition than it, outside its order",
            *(record.topic, count, record.key, place_of(record), key),
        )


def _correlation_id(headers: dict[str, str], key: str) -> str:
    given = headers.get("ce_correlationid", "")
    return given if 0 < len(given) <= MAX_EVENT_ID and "\x00" not in given else key


def _time(text: str | None, timestamp_ms: int, received_at: datetime) -> datetime:
    try:
        time = _moment(text) if text else datetime.fromtimestamp(max(timestamp_ms, 0) / 1000, UTC)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if not text:
            return received_at
        raise InvalidRecord(f"ce_time is not RFC 3339: {text[:40]!r}") from error
    raise InvalidRecord(f"ce_time has no zone: {(text or '')[:40]!r}")


#: A leap second, which datetime does not know, and the text around its seconds.
_LEAP_SECOND = re.compile(r"(.{10}[T ]\d\d:\d\d:)60(\D.*)")


def _moment(text: str) -> datetime:
    """Read RFC 3339, which allows a small t and z, and the last second of a UTC day to be its 60th."""
    text = text.upper()
    leap = _LEAP_SECOND.fullmatch(text)
    if not leap:
        return datetime.fromisoformat(text)
    moment = datetime.fromisoformat(f"{leap[1]}59{leap[2]}") + timedelta(seconds=1)
    midnight = moment.astimezone(UTC)
    if (midnight.hour, midnight.minute) != (0, 0):
        raise ValueError("only the last minute of a UTC day has a second more")
    return moment
