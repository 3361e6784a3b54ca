"""Editing a dead letter: another value, other headers; its id and its key stay."""

from __future__ import annotations

from messaging.errors import Refused
from messaging.kafka.records import RawRecord, identity_of


def edited(record: RawRecord, value: bytes | None, headers: dict[str, str] | None) -> RawRecord:
    """Return the record with another value, and these headers instead of its own of the same names."""
    if value is None and not headers:
        raise Refused("nothing was edited: give a new value, or a header")
    new = headers or {}
    try:
        "".join(new).encode()
        added = [(name, text.encode("utf-8", "surrogateescape")) for name, text in new.items()]
    except UnicodeEncodeError as error:
        raise Refused(f"a header cannot be encoded as UTF-8: {error}") from error
    kept = [(name, old) for name, old in record.headers if name not in new]
    pairs = [*kept, *added]
    value = record.value if value is None else value
    return RawRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, pairs, value)


def check_identity(original: RawRecord, record: RawRecord) -> None:
    """Raise Refused when the record would be another event: the inbox knows the original by its source and id.

    A record without a readable ce_id, or ce_source, may be given one.
    """
    for name, before, after in zip(("ce_source", "ce_id"), identity_of(original), identity_of(record), strict=True):
        if before and before != after:
            raise Refused(f"its {name} {before} cannot be changed: the inbox knows the event by it")
