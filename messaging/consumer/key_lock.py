"""The lock that lets one worker at a time retry a parked key: another's crash mark is then that of a dead process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error as DatabaseError
from django.db import connection

from messaging.conf import conf
from messaging.database import session_lock

logger = logging.getLogger(__name__)

#: First of the two numbers of the advisory lock that lets one worker at a time retry a key.
LOCK_SPACE = 0x0B0F
#: Idle time of a session, in milliseconds, after which it loses that lock.
SILENT_MS = 10_000
#: The same where the lock has a session of its own, which is silent while a handler works.
POOLED_SILENT_MS = 60_000

_LOCK_KEY = """
WITH tried AS MATERIALIZED (SELECT pg_try_advisory_lock(%s, hashtext(%s)) AS mine)
SELECT mine, CASE WHEN mine THEN set_config('idle_session_timeout', %s, false) END FROM tried
"""
_UNLOCK_KEY = "RESET idle_session_timeout; SELECT pg_advisory_unlock(%s, hashtext(%s))"


@contextmanager
def key_lock(topic: str, key: str) -> Iterator[bool]:
    """Hold the key's advisory lock for a with block; yields False when another process has it.

    A frozen process loses the lock with its session, which PostgreSQL ends when it is idle for too long.
    """
    if conf().direct_database:  # behind a pooler, Django's connection is no session
        with session_lock(LOCK_SPACE, f"{topic} {key}", idle_session_timeout=f"{POOLED_SILENT_MS}ms") as mine:
            yield mine
        return
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_KEY, [LOCK_SPACE, f"{topic} {key}", str(SILENT_MS)])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            _unlock(topic, key)


def _unlock(topic: str, key: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(_UNLOCK_KEY, [LOCK_SPACE, f"{topic} {key}"])
    except DatabaseError as error:
        logger.info("%s: the lock of the key %s ended with its connection: %r", topic, key, error)
