"""Decodes a record into `Work`, `Poison` (undecodable), or None if no handler of this service wants it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from messaging.conf import default_group, is_compacted
from messaging.context import Delivery
from messaging.errors import InvalidRecord
from messaging.event import SCHEMA, decode, is_keyed_by_uuid, spec_of
from messaging.ids import canonical_key
from messaging.inbox.rows import Entry, entry_of
from messaging.kafka.records import MAX_EVENT_ID, Received, packed, place_of, readable_key, received, type_of
from messaging.registry import NO_HANDLER, Handler, handlers_of, is_unknown_version


@dataclass(frozen=True, slots=True)
class Work:
    """A record, the handlers that want it with an inbox entry for each, and the delivery that they get."""

    record: Received
    handlers: list[Handler]
    entries: list[Entry]
    delivery: Delivery

    @property
    def identity(self) -> tuple[str, str]:
        """The event's source and id: a second record with both is the same event."""
        return (self.record.source, self.record.event_id)

    @property
    def place(self) -> tuple[str, str]:
        return (self.record.topic, self.record.key)

    def attempt(self, number: int) -> Delivery:
        """Return the delivery of attempt `number`, counted from 1."""
        return Delivery(self.delivery.event, self.record.context(number))

    def entry_at(self, handler: Handler) -> Entry:
        """Return the entry of one of the handlers."""
        return self.entries[self.handlers.index(handler)]

    def at(self, handlers: list[Handler]) -> Work:
        """Return the same work for some of its handlers."""
        return Work(self.record, handlers, [self.entry_at(each) for each in handlers], self.delivery)

    def with_rows(self, rows: Mapping[Entry, Entry]) -> Work:
        """Return the same work for those of its handlers whose entries have rows here, with the entries of the rows."""
        found = [rows.get(entry) for entry in self.entries]
        if found == self.entries:
            return self
        handlers = [handler for handler, row in zip(self.handlers, found, strict=True) if row]
        return Work(self.record, handlers, [row for row in found if row], self.delivery)


@dataclass(frozen=True, slots=True)
class Poison:
    """An undecodable record, and why. Without a readable key (then '') it parks nothing, and nor does a tombstone."""

    record: Any
    entries: list[Entry]
    type: str
    reason: str
    error: str

    @property
    def entry(self) -> Entry:
        """The inbox entry: one for the record, since nothing tells which handlers would want it."""
        return self.entries[0]

    @property
    def identity(self) -> str:
        """The record's place, which stands for the id of an event without a readable one."""
        return self.entry.event_id

    @property
    def key(self) -> str:
        return self.entry.key

    @property
    def parks(self) -> bool:
        """Whether later events of its key wait behind it. None follows from a tombstone in a compacted topic."""
        return bool(self.key) and not _is_tombstone(self.record)

    @property
    def place(self) -> tuple[str, str]:
        return (self.record.topic, self.key)


Item = Work | Poison


def read_all(records: Iterable[Any], group: str, received_at: datetime) -> list[Item]:
    """Decode records (kafka-python's, or RawRecord) in their order; leave out those that no handler wants."""
    found = (read(record, group, received_at) for record in records)
    return [item for item in found if item is not None]


def read(record: Any, group: str, received_at: datetime) -> Item | None:
    """Decode one record; None when no handler of the group wants its type, and for a plain tombstone."""
    kind = ""
    if _is_tombstone(record) and not record.headers:
        return None
    try:
        kind = type_of(record)
        handlers = handlers_of(kind, record.topic, group, default_group())
        if handlers:
            return work_of(received(record, received_at), handlers)
        if is_unknown_version(kind, record.topic, group, default_group()):
            raise InvalidRecord(f"{kind} is a version that this code does not know", reason="unknown_version")
    except InvalidRecord as error:
        return Poison(record, [_entry_of_poison(record)], kind, error.reason, str(error))
    return None


def _is_tombstone(record: Any) -> bool:
    """Return whether the record removes its key from a compacted topic, which is about the log and no event."""
    return record.value is None and is_compacted(record.topic)


def _entry_of_poison(record: Any) -> Entry:
    """Its place names it, and as its source a digest: a topic made again under its name has other records there."""
    digest = sha256(packed(record)).hexdigest()
    key = readable_key(record)
    return Entry(place_of(record), NO_HANDLER, record.topic, record.partition, record.offset, key, digest)


def work_of(record: Received, handlers: list[Handler]) -> Work:
    """Decode the record's event. InvalidRecord when it does not fit its schema, or is about another key."""
    event = decode(record.type, record.data)
    key = str(getattr(event, spec_of(type(event)).key))
    if key != record.key and canonical_key(key, bare=is_keyed_by_uuid(record.topic)) != record.key:
        message = (
            f"{record.type} has the key {key[:MAX_EVENT_ID]} in its data, but its record has the key"
            f" {record.key[:MAX_EVENT_ID]}"
        )
        raise InvalidRecord(message, reason=SCHEMA)
    entries = [entry_of(record, handler) for handler in handlers]
    return Work(record, handlers, entries, Delivery(event, record.context()))
