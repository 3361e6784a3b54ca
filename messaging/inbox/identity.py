"""Which records are one event: CloudEvents says, those with one source and one id.

The inbox is unique by (event_id, handler), and old code inserts by that pair. So the first source with an id has it as
`event_id`. An event of another source with that id, at the same handler, gets a row beside it, whose `event_id` names
its source too and whose `ce_id` is the id (docs/decisions/0023). This costs a statement where ids repeat, and none
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from django.db import connection

from messaging.inbox import rows
from messaging.inbox.rows import Entry
from messaging.kafka.records import MAX_EVENT_ID

#: Whether the inbox row `row` is of the source of the entry `t`. A row of a release that kept no source counts as the
#: same event when topic and key are the same.
_SAME_SOURCE = """
       CASE WHEN row.source IS NULL THEN row.topic = t.topic AND lower(row.key) = lower(t.key)
            ELSE coalesce(nullif(row.source, ''), '/' || split_part(row.topic, '.', 1)) = t.whole_source END
"""
_ENTRIES = """
       unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[],
              %s::text[])
       WITH ORDINALITY
       AS t(event_id, handler, topic, partition, "offset", key, source, whole_source, beside, n)
"""
_INSERT_BESIDE = f"""
INSERT INTO messaging_inbox
       (event_id, handler, topic, partition, "offset", key, source, ce_id, state, attempts, received_at)
SELECT t.beside, t.handler, t.topic, t.partition, t."offset", t.key, t.source, t.event_id, 'done', 1, now()
  FROM {_ENTRIES}
  JOIN messaging_inbox AS row ON row.event_id = t.event_id AND row.handler = t.handler
 WHERE NOT ({_SAME_SOURCE})
 ORDER BY 1, 2
    ON CONFLICT (event_id, handler) DO NOTHING
RETURNING event_id, handler
"""
_KNOWN = f"""
SELECT DISTINCT t.n
  FROM {_ENTRIES}
  JOIN messaging_inbox AS row ON row.event_id IN (t.event_id, t.beside) AND row.handler = t.handler
 WHERE row.event_id = t.beside OR {_SAME_SOURCE}
"""


def insert_new(entries: Iterable[Entry]) -> dict[Entry, Entry]:
    """Insert the rows of events that are new; return each such entry, and the entry as its row has it."""
    wanted = list(entries)
    first: dict[tuple[str, str], Entry] = {}
    for entry in wanted:
        first.setdefault(entry.identity, entry)
    inserted = rows.insert_new(list(first.values()))
    if len(inserted) == len(wanted):
        return dict(zip(wanted, wanted, strict=True))
    new = {entry: entry for entry in first.values() if entry.identity in inserted}
    others = [entry for entry in wanted if entry not in new]
    return new | _insert_beside(others) if others else new


def _insert_beside(others: Sequence[Entry]) -> dict[Entry, Entry]:
    """Insert those of the entries whose id another source has at their handler."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_BESIDE, _columns(others))
        inserted = set(cursor.fetchall())
    beside = {entry: entry._replace(event_id=_id_beside(entry)) for entry in others}
    return {entry: row for entry, row in beside.items() if row.identity in inserted}


def known(entries: Sequence[Entry]) -> set[Entry]:
    """Return those of the entries whose event has an inbox row at their handler, in any state."""
    if not entries:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, _columns(entries))
        return {entries[number - 1] for (number,) in cursor.fetchall()}


def _columns(entries: Sequence[Entry]) -> list[list[object]]:
    lines = [(*entry, _whole_source(entry), _id_beside(entry)) for entry in entries]
    return [list(column) for column in zip(*lines, strict=True)]


def _whole_source(entry: Entry) -> str:
    return entry.source or rows.own_source(entry.topic)


def _id_beside(entry: Entry) -> str:
    """Return the `event_id` of an event whose id belongs to another source's event."""
    source = _whole_source(entry)
    text = f"{entry.event_id} from {source}"
    return (
        text if len(text) <= MAX_EVENT_ID else f"{sha256(text.encode()).hexdigest()} from {source[: MAX_EVENT_ID // 2]}"
    )
