"""Parked keys: a key whose event failed waits alone, and its later events queue behind it (P4, P5).

Three rules; leaving out any of them broke a promise in the model. Only a transaction that holds the partition's
position row inserts a parked key. To run or change a queued event, lock the key first and read afterwards. A
key is unparked in its own transaction, in three statements: lock, check, delete.

The consumer locks FOR KEY SHARE, so a long retry holds up no batch. The retry of parked keys and the operators lock
FOR NO KEY UPDATE. Unparking locks FOR UPDATE, which waits for batches that are about to queue an event.
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
_SHARED, _EXCLUSIVE = " FOR KEY SHARE OF parked", " FOR NO KEY UPDATE OF parked"
_INSERT = """
INSERT INTO messaging_parked_key (topic, key, consumer_group, partition, parked_at)
SELECT topic, key, %s, partition, now()
  FROM unnest(%s::text[], %s::text[], %s::int[]) AS t(topic, key, partition)
 ORDER BY topic, key
    ON CONFLICT (topic, key) DO NOTHING
"""
_LOCK_EXCLUSIVELY = "SELECT 1 FROM messaging_parked_key WHERE topic = %s AND key = %s FOR NO KEY UPDATE"
_QUEUE_EXISTS = """
SELECT EXISTS (SELECT 1 FROM messaging_inbox WHERE topic = %s AND key = %s AND raw IS NOT NULL)
"""
#: How often to insert a key that is unparked again and again, before the transaction is rolled back and retried.
TRIES = 5


def lock_parked(keys: Iterable[Parked], *, exclusively: bool = False) -> set[Parked]:
    """Return which of these keys are parked; they stay parked until the transaction ends.

    `exclusively`: also exclude the retry of parked keys, and operators.
    """
    wanted = sorted(set(keys))
    if not wanted:
        return set()
    with connection.cursor() as cursor:
        columns = [[topic for topic, _ in wanted], [key for _, key in wanted]]
        cursor.execute(_LOCK + (_EXCLUSIVE if exclusively else _SHARED), columns)
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
    raise PositionMoved(
        f"group {group}: {wanted} were unparked again and again while this transaction tried to park them"
    )


def lock_exclusively(topic: str, key: str, *, skip_locked: bool = False) -> bool:
    """Lock a parked key against retries and operators; False when it is not parked, or locked (`skip_locked`)."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_EXCLUSIVELY + (" SKIP LOCKED" if skip_locked else ""), [topic, key])
        return cursor.fetchone() is not None


def unpark(topic: str, key: str) -> bool:
    """Unpark a key whose queue is empty; False when it is not empty. Opens its own transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM messaging_parked_key WHERE topic = %s AND key = %s FOR UPDATE", [topic, key])
        cursor.execute(_QUEUE_EXISTS, [topic, key])
        if cursor.fetchone()[0]:
            return False
        cursor.execute("DELETE FROM messaging_parked_key WHERE topic = %s AND key = %s", [topic, key])
    return True
