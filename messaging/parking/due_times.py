"""When the retry looks at a parked key next: an indexed time on the key, so that finding due keys reads no queue.

The time is a hint. It is at most LOOK_SECONDS ahead, so a head that was changed without it (by a release that does not
know the column, by a replay) is noticed by then. A change that makes a head due sets the time to now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from django.db import connection, transaction

from messaging.inbox.crash_marks import process_name
from messaging.inbox.rows import QUEUE_ORDER
from messaging.parking.keys import Parked
from messaging.registry import handler_names

#: Longest time, in seconds, without a look at a parked key.
LOOK_SECONDS = 60.0
#: Keys read in one query.
PAGE = 100

_HEAD = f"""
SELECT {{}} FROM messaging_inbox AS row
 WHERE row.topic = parked.topic AND row.key = parked.key AND row.raw IS NOT NULL
 ORDER BY {QUEUE_ORDER} LIMIT 1
"""
#: Topic by topic, so that the due keys of a paused topic are not read: an index leads to the next topic and its keys.
_DUE = f"""
WITH RECURSIVE topics AS (
    SELECT min(topic) AS topic FROM messaging_parked_key
     UNION ALL
    SELECT (SELECT min(topic) FROM messaging_parked_key WHERE topic > topics.topic) FROM topics WHERE topic IS NOT NULL
)
SELECT parked.topic, parked.key, coalesce(parked.marked_by <> %s, false),
       head.state IS NULL OR (head.state = 'waiting' AND head.next_attempt_at <= now())
  FROM topics CROSS JOIN LATERAL (
       SELECT * FROM messaging_parked_key AS each
        WHERE each.topic = topics.topic AND each.look_at <= now()
          AND (each.topic, each.key) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        ORDER BY each.look_at LIMIT {PAGE}
       ) AS parked
  LEFT JOIN LATERAL ({_HEAD.format("state, next_attempt_at")}) AS head ON true
 WHERE topics.topic <> ALL(%s)
 ORDER BY parked.look_at, parked.id LIMIT {PAGE}
"""
#: When the head of the key `parked` is due. A dead one never is; an empty queue is due at once.
_HEAD_IS_DUE = f"""
coalesce(({_HEAD.format("CASE state WHEN 'waiting' THEN coalesce(next_attempt_at, now()) ELSE 'infinity' END")}), now())
"""
_LOOK_LATER = f"least({_HEAD_IS_DUE}, now() + {LOOK_SECONDS} * interval '1 second')"
#: A separate statement before the heads are read: an operator may be about to make one due.
_LOCK = """
SELECT parked.topic, parked.key
  FROM messaging_parked_key AS parked JOIN unnest(%s::text[], %s::text[]) AS wanted(topic, key) USING (topic, key)
 ORDER BY topic, key FOR NO KEY UPDATE OF parked SKIP LOCKED
"""
_PUT_OFF = f"""
UPDATE messaging_parked_key AS parked SET look_at = {_LOOK_LATER}
  FROM unnest(%s::text[], %s::text[]) AS wanted(topic, key)
 WHERE parked.topic = wanted.topic AND parked.key = wanted.key
"""
_SETTLE = f"""
UPDATE messaging_parked_key AS parked
   SET marked_event = NULL, marked_by = NULL, deaths = 0, look_at = {_LOOK_LATER}
 WHERE topic = %s AND key = %s
"""
_LOOK_NOW = """
UPDATE messaging_parked_key AS parked SET look_at = now()
  FROM unnest(%s::text[], %s::text[]) AS wanted(topic, key)
 WHERE parked.topic = wanted.topic AND parked.key = wanted.key
"""


class DueKey(NamedTuple):
    """A parked key that is due. `left_marked`: another process has marked its head, and may have died at it."""

    place: Parked
    left_marked: bool


def due_keys(paused: Collection[str], without: Collection[Parked]) -> list[DueKey]:
    """Return parked keys whose head is due or whose queue is empty, the most overdue first, at most PAGE.

    Keys whose time has come although their head is not due are put off.
    """
    while True:
        rows = _read([process_name(), *_columns(without), handler_names(), sorted(paused)])
        found = [DueKey((topic, key), marked) for topic, key, marked, is_due in rows if is_due]
        waiting = [(topic, key) for topic, key, _, is_due in rows if not is_due]
        if waiting:
            _put_off(waiting)
        if found or len(rows) < PAGE:
            return found


def _read(parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_DUE, parameters)
        return list(cursor.fetchall())


def _put_off(keys: Collection[Parked]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK, _columns(keys))
        locked = cursor.fetchall()
        cursor.execute(_PUT_OFF, [handler_names(), *_columns(locked)])


def settle(topic: str, key: str) -> None:
    """Take the mark off the key, and look at it again when its head is due. The transaction holds the key's lock."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [handler_names(), topic, key])


def look_now(keys: Iterable[Parked]) -> None:
    """Look at these keys at once: their heads may be due now. The transaction holds the keys' locks."""
    columns = _columns(sorted(set(keys)))
    if columns[0]:
        with connection.cursor() as cursor:
            cursor.execute(_LOOK_NOW, columns)


def _columns(keys: Collection[Parked]) -> list[list[str]]:
    return [[topic for topic, _ in keys], [key for _, key in keys]]
