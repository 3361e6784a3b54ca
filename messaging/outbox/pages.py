"""Which rows a round sends: the earliest of each key, read page by page in one snapshot, and then their data.

In different snapshots a page could return a later row of a key (P4): page 1 lacks row 5 of a key, whose transaction is
open; it commits, row 700 of the key commits, and page 2 returns row 700. models/relay shows each step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from messaging.conf import conf
from messaging.outbox.envelope import Envelope
from messaging.outbox.sender import Key, Row, ordering_key
from messaging.outbox.shard_locks import ShardConnection

#: Pages read in one round to find enough different keys.
PAGES = 20
#: Bytes of data in one round; a row that is larger goes alone.
ROUND_BYTES = 32 * 1024 * 1024
#: Bytes of data that a row may have to come with its page. What is larger is read only when it is picked, so that a
#: page of large rows needs little memory.
INLINE_BYTES = 4096

#: The query leaves out keys and topics that failed, and keys that the round has already: many rows of one key must not
#: hide the other keys.
_PAGE = """
SELECT id, event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra,
       octet_length(data) + COALESCE(octet_length(raw), 0),
       CASE WHEN octet_length(data) <= %s AND raw IS NULL THEN data END
  FROM messaging_outbox
 WHERE shard = ANY(%s) AND id > %s AND topic <> ALL(%s::text[])
   AND (topic, key) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
 ORDER BY id
 LIMIT %s
"""
_DATA = "SELECT id, data, raw FROM messaging_outbox WHERE id = ANY(%s)"


class _Found(NamedTuple):
    """A picked row: its bytes, and whether its data came with the page."""

    row: Row
    size: int
    is_complete: bool


@dataclass
class _Reading:
    """The pages of one round."""

    shards: ShardConnection
    topics: Sequence[str]
    out: set[Key]
    last: int = 0
    found: list[_Found] = field(default_factory=list)

    def next_page(self) -> bool:
        """Read a page and pick from it; return whether the round needs another one."""
        size = conf().relay_batch
        without = [[topic for topic, _ in self.out], [key for _, key in self.out]]
        page = self.shards.execute(
            _PAGE, [INLINE_BYTES, self.shards.owned, self.last, list(self.topics), *without, size]
        )
        for values in page:
            self._pick(values)
            self.last = values[0]
        return len(page) == size and len(self.found) < size // 2

    def _pick(self, values: tuple[Any, ...]) -> None:
        row_id, event_id, topic, key, kind, occurred_at, correlation_id, causation_id, extra, size, data = values
        plain = b"" if data is None else bytes(data)
        row = (
            row_id,
            Envelope(event_id, topic, key, kind, occurred_at, correlation_id, causation_id, extra, plain),
        )
        if ordering_key(row) in self.out:
            return
        self.found.append(_Found(row, size, data is not None))
        if row[1].topic not in conf().unordered_topics:
            self.out.add(ordering_key(row))


def pick(shards: ShardConnection, *, without: Collection[Key], without_topics: Sequence[str]) -> list[Row]:
    """Return the earliest row of each key (every row of a topic that is not ordered), in id order.

    One statement reads a small backlog. When one page does not do, all pages are read in one transaction, from the
    first on; it has ended when this returns.
    """
    reading = _Reading(shards, without_topics, set(without))
    if reading.next_page():
        reading = _Reading(shards, without_topics, set(without))
        with shards.snapshot():
            for _ in range(PAGES):
                if not reading.next_page():
                    break
    return _with_data(shards, _at_most(ROUND_BYTES, reading.found))


def _at_most(limit: int, found: Sequence[_Found]) -> Sequence[_Found]:
    """Return the first rows that have so many bytes together, and at least one."""
    total = 0
    for count, each in enumerate(found):
        total += each.size
        if total > limit and count:
            return found[:count]
    return found


def _with_data(shards: ShardConnection, found: Sequence[_Found]) -> list[Row]:
    """Read the data that did not come with the pages. A row that is gone was acknowledged to another relay."""
    incomplete = [each.row[0] for each in found if not each.is_complete]
    if not incomplete:
        return [each.row for each in found]
    data = {row_id: (bytes(data), raw) for row_id, data, raw in shards.execute(_DATA, [incomplete])}
    return [_complete(each, data) for each in found if each.is_complete or each.row[0] in data]


def _complete(found: _Found, data: dict[int, tuple[bytes, Any]]) -> Row:
    row_id, envelope = found.row
    if found.is_complete:
        return found.row
    plain, raw = data[row_id]
    return row_id, replace(envelope, data=plain, raw=None if raw is None else bytes(raw))
