"""Dead letters: events that cannot be handled, stored whole with the reason, and published to a topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg2
from django.db import connection

from messaging.conf import conf, dead_letter_topic
from messaging.database import storable
from messaging.error_kinds import Failure
from messaging.inbox.decoding import Poison
from messaging.inbox.rows import MAX_ERROR, Entry
from messaging.kafka.records import RawRecord, packed, place_of, unpacked
from messaging.outbox.envelope import Envelope
from messaging.outbox.publish import insert

_SAME_PLACE = (
    '(letter.topic, letter.partition, letter."offset") = (excluded.topic, excluded.partition, excluded."offset")'
)
#: The original record stays, unless the letter is of another event: the inbox had forgotten the first one with its id.
_KEEP = f"""
INSERT INTO messaging_dead_letter AS letter
       (event_id, handler, topic, partition, "offset", key, type, reason, fingerprint, error, traceback, attempts, raw,
        at)
SELECT *, now()
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[],
              %s::text[], %s::text[], %s::text[], %s::int[], %s::bytea[])
    ON CONFLICT (event_id, handler) DO UPDATE
       SET reason = excluded.reason, fingerprint = excluded.fingerprint, error = excluded.error,
           traceback = excluded.traceback, attempts = excluded.attempts, at = excluded.at,
           resolved_at = NULL, resolution = '', topic = excluded.topic, partition = excluded.partition,
           "offset" = excluded."offset", key = excluded.key,
           type = CASE WHEN {_SAME_PLACE} THEN letter.type ELSE excluded.type END,
           raw = CASE WHEN {_SAME_PLACE} THEN letter.raw ELSE excluded.raw END,
           edited = CASE WHEN {_SAME_PLACE} THEN letter.edited END
"""
_MARK = """
UPDATE messaging_inbox AS row
   SET state = 'dead', attempts = t.attempts, fingerprint = t.fingerprint, error = t.error, raw = t.raw,
       next_attempt_at = NULL
  FROM unnest(%s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::bytea[])
       AS t(event_id, handler, attempts, fingerprint, error, raw)
 WHERE row.event_id = t.event_id AND row.handler = t.handler
"""

MAX_REASON = 100
MAX_TYPE = 200
#: Room for the added headers, in bytes. A record that would exceed the size limit is published without its value.
ROOM = 20_000


#: Groups undecodable records of one kind, as the place of an exception groups other failures.
POISON_FINGERPRINT = "InvalidRecord: {reason}"


@dataclass(frozen=True, slots=True)
class Letter:
    """An event to store as a dead letter of a handler. `parks`: the row stays in its key's queue and blocks it."""

    entry: Entry
    type: str
    reason: str
    failure: Failure
    attempts: int
    raw: bytes
    parks: bool


def letter_of(poison: Poison, entry: Entry) -> Letter:
    """Return the dead letter that an undecodable record becomes; `entry` is as its inbox row has it."""
    failure = Failure(POISON_FINGERPRINT.format(reason=poison.reason), poison.error)
    return Letter(entry, poison.type, poison.reason, failure, 0, packed(poison.record), parks=poison.parks)


def keep(letters: Sequence[Letter]) -> None:
    """Store the letters, mark their inbox rows, and publish them, in the open transaction."""
    if not letters:
        return
    columns = [list(column) for column in zip(*map(_columns, letters), strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, columns)
        cursor.execute(_MARK, [list(column) for column in zip(*map(_mark, letters), strict=True)])
    topic = dead_letter_topic()
    if topic in conf().topics:
        insert([_envelope(letter, topic) for letter in letters])


def _columns(letter: Letter) -> tuple[object, ...]:
    entry, failure = letter.entry, letter.failure
    return (
        *entry.identity,
        *(entry.topic, entry.partition, entry.offset, entry.key),
        storable(letter.type)[:MAX_TYPE],
        storable(letter.reason)[:MAX_REASON],
        failure.fingerprint,
        storable(failure.error),
        storable(failure.traceback),
        letter.attempts,
        psycopg2.Binary(letter.raw),
    )


def _mark(letter: Letter) -> tuple[object, ...]:
    error = storable(letter.failure.error)[:MAX_ERROR]
    raw = psycopg2.Binary(letter.raw) if letter.parks else None
    return (*letter.entry.identity, letter.attempts, letter.failure.fingerprint or None, error, raw)


def _envelope(letter: Letter, topic: str) -> Envelope:
    entry = letter.entry
    return Envelope(
        event_id=entry.event_id,
        topic=topic,
        key=entry.key or place_of(entry),
        type=storable(letter.type)[:MAX_TYPE],
        occurred_at=datetime.now(UTC),
        correlation_id=entry.key,
        causation_id=None,
        extra="",
        data=b"",
        raw=packed(_record_of(letter, topic)),
    )


def _record_of(letter: Letter, topic: str) -> RawRecord:
    """Return the original record for the dead-letter topic, with the reason in `dl_…` headers.

    Kafka's clients refuse a record that has neither key nor value; its place becomes the key.
    """
    record, entry, failure = unpacked(letter.raw), letter.entry, letter.failure
    about = {
        "dl_service": conf().service,
        "dl_handler": entry.handler,
        "dl_topic": entry.topic,
        "dl_partition": str(entry.partition),
        "dl_offset": str(entry.offset),
        "dl_reason": letter.reason[:MAX_REASON],
        "dl_fingerprint": failure.fingerprint,
        "dl_error": failure.error[:MAX_ERROR],
        "dl_attempts": str(letter.attempts),
    }
    own = [(name, storable(text).encode()) for name, text in about.items()]
    headers, value = [*record.headers, *own], record.value
    if len(letter.raw) > conf().largest_record:
        value, headers = None, [*headers, ("dl_truncated", b"true")]
    if len(letter.raw) - len(record.value or b"") > conf().largest_record:
        headers = [*own, ("dl_truncated", b"true")]
    key = place_of(entry).encode() if record.key is None and value is None else record.key
    return RawRecord(topic, 0, 0, record.timestamp, key, headers, value)
