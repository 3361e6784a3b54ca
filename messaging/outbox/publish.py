"""publish(): an event becomes a row in the same transaction as the state change that it reports (promise P1)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import psycopg2
from django.db import connection, transaction

from messaging.conf import conf
from messaging.context import Cause, Context, current_context
from messaging.errors import EventTooLarge, TransactionRequired
from messaging.event import MAX_KEY, Event, EventSpec, encode, is_keyed_by_uuid, spec_of
from messaging.ids import canonical_key, new_id, spellings
from messaging.outbox.envelope import Envelope
from messaging.signals import event_recorded

#: Longest `traceparent` that is passed on; W3C's version 00 has 55 characters.
MAX_TRACEPARENT = 255


@dataclass(frozen=True, eq=False)
class _Gathered:
    """The events of one publish_all() call. Django drops it from run_on_commit when its savepoint is rolled back."""

    envelopes: list[Envelope]

    def __call__(self) -> None:
        """Do nothing after the commit: the object only marks that its savepoint survived."""


#: While a consumer's transaction is open, its handlers' events collect here, for one INSERT before the commit.
_gathering: ContextVar[list[_Gathered] | None] = ContextVar("messaging_gathering", default=None)

_INSERT = """
INSERT INTO messaging_outbox
       (event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data, shard, raw)
SELECT event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data, shard, raw
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::text[],
              %s::bytea[], %s::smallint[], %s::bytea[])
       WITH ORDINALITY
       AS t(event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data, shard, raw, n)
 ORDER BY n
"""


def publish(event: Event, *, cause: Cause | None = None) -> str:
    """Record `event` in the outbox, in the open transaction; the relay brings it to Kafka after the commit.

    Returns the event's id. `cause` is the context of the event that led to this one, or any object with its `event_id`
    and `correlation_id`; inside a single-form handler it is known already.

    TransactionRequired outside a transaction. EventTooLarge; TypeError for a field that can't be written; ValueError
    for a key that can't stand on Kafka.
    """
    return publish_all([(event, cause)])[0]


def publish_all(items: Iterable[tuple[Event, Cause | None]]) -> list[str]:
    """Record several events in one statement, in the order of the list; return their ids. Errors as publish()."""
    if not connection.in_atomic_block:
        raise TransactionRequired(
            "call publish() inside the transaction of the state change: with transaction.atomic(): …"
        )
    envelopes = [envelope_of(event, cause or current_context.get()) for event, cause in items]
    gathering = _gathering.get()
    if gathering is None:
        insert(envelopes)
    else:
        gathered = _Gathered(envelopes)
        gathering.append(gathered)
        transaction.on_commit(gathered)
    return [envelope.event_id for envelope in envelopes]


def envelope_of(event: Event, cause: Cause | None) -> Envelope:
    """Wrap an event for its way out. Errors as publish()."""
    spec = spec_of(type(event))
    key = _key_of(event, spec)
    data = encode(event)
    if len(data) + len(key) > conf().max_event_bytes:
        raise EventTooLarge(
            f"{spec.type} has {len(data)} bytes, but at most {conf().max_event_bytes} are allowed; publish less"
            " data, or a reference to it"
        )
    return Envelope(
        event_id=str(new_id()),
        topic=spec.topic,
        key=key,
        type=spec.type,
        occurred_at=datetime.now(UTC),
        correlation_id=cause.correlation_id if cause else key,
        causation_id=cause.event_id if cause else None,
        extra=_extra(cause) if isinstance(cause, Context) else "",
        data=data,
    )


def _key_of(event: Event, spec: EventSpec) -> str:
    value = getattr(event, spec.key)
    key = "" if value is None else canonical_key(str(value), bare=is_keyed_by_uuid(spec.topic))
    if not key or "\x00" in key or len(key.encode()) > MAX_KEY:
        raise ValueError(
            f"{spec.type}: {spec.key} is {value!r}, but a key needs text without a zero character, of at most"
            f" {MAX_KEY} bytes"
        )
    return key


def _extra(cause: Context) -> str:
    extra = {"ce_causereceived": cause.received_at.isoformat(), "ce_causeattempts": str(cause.attempt)}
    traceparent = cause.headers.get("traceparent", "")
    if 0 < len(traceparent) <= MAX_TRACEPARENT:
        extra["traceparent"] = traceparent
    return msgspec.json.encode(extra).decode()


@contextmanager
def gather() -> Iterator[None]:
    """Collect the events that publish() is given inside the with block, and insert them in one statement at its end.

    Events of a savepoint that was rolled back are left out. After an error nothing is inserted.
    """
    gathering: list[_Gathered] = []
    token = _gathering.set(gathering)
    try:
        yield
    finally:
        _gathering.reset(token)
    callbacks = {id(callback) for _, callback, *_ in connection.run_on_commit}
    insert([each for gathered in gathering if id(gathered) in callbacks for each in gathered.envelopes])


def insert(envelopes: Sequence[Envelope]) -> None:
    """Write the rows in one statement, in the order of the list, and send `event_recorded`."""
    if not envelopes:
        return
    columns = (
        [each.event_id for each in envelopes],
        [each.topic for each in envelopes],
        [each.key for each in envelopes],
        [each.type for each in envelopes],
        [each.occurred_at for each in envelopes],
        [each.correlation_id for each in envelopes],
        [each.causation_id for each in envelopes],
        [each.extra for each in envelopes],
        [psycopg2.Binary(each.data) for each in envelopes],
        [shard_of(each.key) for each in envelopes],
        [None if each.raw is None else psycopg2.Binary(each.raw) for each in envelopes],
    )
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, columns)
    event_recorded.send(sender=Envelope, envelopes=envelopes)


def shard_of(key: str) -> int:
    """Return the relay shard of a key."""
    return zlib.crc32(key.encode()) % conf().shards


def outbox_refusal(key: str) -> str:
    """Return why Kafka does not take the next event of `key`, an operator's matter; '' when nothing was refused."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT refused FROM messaging_outbox WHERE key = %s ORDER BY id LIMIT 1", [key])
        row = cursor.fetchone()
    return row[0] or "" if row else ""


def pending_keys(keys: Iterable[str]) -> set[str]:
    """Return those of the keys for which outbox_pending() is true, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT key FROM messaging_outbox WHERE key = ANY(%s)", [list(keys)])
        return {key for (key,) in cursor.fetchall()}


def outbox_pending(key: str) -> bool:
    """Return whether an event of `key` is still in the outbox, so has not reached Kafka."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM messaging_outbox WHERE key = ANY(%s))", [spellings(key)])
        return bool(cursor.fetchone()[0])
