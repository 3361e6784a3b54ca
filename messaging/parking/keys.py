"""Parked keys: a key whose event failed, or can't be handled, waits alone; its later events queue behind it (P4, P5).

Three rules, each of which broke a promise in the model when it was left out: only a transaction that holds the
partition's position row inserts a parked key; whoever runs or changes an event of a queue locks the key first and reads
afterwards; a key is handed back in a transaction of its own, in three statements: lock, look, delete.

The consumer locks FOR KEY SHARE, so that a long drain holds up nobody's batch; drain and operators FOR NO KEY UPDATE;
the hand-back FOR UPDATE, which waits for the batches that are about to queue something.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import connection, transaction

from messaging.errors import PositionMoved

#: What orders events: topic and key.
Parked = tuple[str, str]


class ToPark(NamedTuple):
    """A key to be parked, and where its event stands."""

    topic: str
    key: str
    partition: int


_LOCK = """
SELECT parked.topic, parked.key
  FROM unnest(%s::text[], %s::text[]) AS wanted(topic, key)
  JOIN messaging_parked_key AS parked USING (topic, key)
 ORDER BY topic, key
"""
_SHARED, _ALONE = " FOR KEY SHARE OF parked", " FOR NO KEY UPDATE OF parked"
_INSERT = """
INSERT INTO messaging_parked_key (topic, key, consumer_group, partition, parked_at)
SELECT topic, key, %s, partition, now()
  FROM unnest(%s::text[], %s::text[], %s::int[]) AS t(topic, key, partition)
 ORDER BY topic, key
    ON CONFLICT (topic, key) DO NOTHING
"""
_LOCK_ALONE = "SELECT 1 FROM messaging_parked_key WHERE topic = %s AND key = %s FOR NO KEY UPDATE"
_QUEUE_EXISTS = """
SELECT EXISTS (SELECT 1 FROM messaging_inbox WHERE topic = %s AND key = %s AND raw IS NOT NULL)
"""
#: Inserted, deleted by a hand-back, inserted again: how often before the transaction is given up and looked at anew.
TRIES = 5


def lock_parked(keys: Iterable[Parked], *, alone: bool = False) -> set[Parked]:
    """Return which of these keys are parked; they stay so until the transaction ends.

    `alone`: locked against drains and operators too.
    """
    wanted = sorted(set(keys))
    if not wanted:
        return set()
    with connection.cursor() as cursor:
        columns = [[topic for topic, _ in wanted], [key for _, key in wanted]]
        cursor.execute(_LOCK + (_ALONE if alone else _SHARED), columns)
        return set(cursor.fetchall())


def park(group: str, keys: Iterable[ToPark]) -> None:
    """Park these keys. The caller holds the position rows of their partitions.

    A key may be parked already by another partition: a record that stands in another one than its key's.
    """
    wanted = sorted(set(keys))
    if not wanted:
        return
    columns: list[Any] = [list(column) for column in zip(*wanted, strict=True)]
    for _ in range(TRIES):
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, [group, *columns])
        if lock_parked((each.topic, each.key) for each in wanted) == {(each.topic, each.key) for each in wanted}:
            return
    raise PositionMoved(f"group {group}: {wanted} were handed back again and again while they were to be parked")


def lock_alone(topic: str, key: str, *, skip_locked: bool = False) -> bool:
    """Lock a parked key against drains and operators; False when it is not parked, or not to be had at once."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_ALONE + (" SKIP LOCKED" if skip_locked else ""), [topic, key])
        return cursor.fetchone() is not None


def unpark(topic: str, key: str) -> bool:
    """Give a key whose queue is empty back to the live path; False when it is not empty. Opens its own transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM messaging_parked_key WHERE topic = %s AND key = %s FOR UPDATE", [topic, key])
        cursor.execute(_QUEUE_EXISTS, [topic, key])
        if cursor.fetchone()[0]:
            return False
        cursor.execute("DELETE FROM messaging_parked_key WHERE topic = %s AND key = %s", [topic, key])
    return True
