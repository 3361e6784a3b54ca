"""Dead letters: events that can't be handled, kept whole with the reason."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import psycopg2
from django.db import connection

from messaging import inbox
from messaging.record import Received, storable
from messaging.registry import Handler

_INSERT = """
INSERT INTO messaging_dead_letter
       (event_id, handler, topic, partition, "offset", key, type, reason, detail, headers, data, attempts, at)
SELECT event_id, handler, topic, partition, "offset", key, type, reason, detail, headers, data, 1, now()
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[],
              %s::text[], %s::jsonb[], %s::bytea[])
       AS t(event_id, handler, topic, partition, "offset", key, type, reason, detail, headers, data)
    ON CONFLICT (event_id, handler) DO NOTHING
"""

MAX_REASON = 100


def keep(letters: Iterable[tuple[Received, Handler, str, str]]) -> None:
    """Store (record, handler, reason, detail) and mark their inbox rows, in the open transaction."""
    kept = list(letters)
    if not kept:
        return
    records = [record for record, *_ in kept]
    columns = (
        [record.event_id for record in records],
        [handler.name for _, handler, _, _ in kept],
        [record.topic for record in records],
        [record.partition for record in records],
        [record.offset for record in records],
        [record.key for record in records],
        [record.type for record in records],
        [storable(reason)[:MAX_REASON] for _, _, reason, _ in kept],
        [storable(detail) for *_, detail in kept],
        [_headers(record) for record in records],
        [psycopg2.Binary(record.data) for record in records],
    )
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, columns)
    inbox.mark_dead((record, handler) for record, handler, _, _ in kept)


def _headers(record: Received) -> str:
    return msgspec.json.encode({storable(name): storable(value) for name, value in record.headers.items()}).decode()
