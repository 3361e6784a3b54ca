"""The circuit breaker: a handler that fails many events in the same way means a bad deployment, not bad events.

It pauses the handler before every order gets a failure answer.
"""

from __future__ import annotations

import logging

from django.db import connection

from messaging.conf import conf
from messaging.parking import pauses
from messaging.registry import Handler

logger = logging.getLogger(__name__)

ACTOR = "fuse"

#: How many of the newest inbox rows are read: a rarely called handler has no index of its own.
NEWEST = 10_000

#: The handler's last ended events, newest first. Several of one key count once.
_LAST = """
SELECT key, coalesce(fingerprint, ''), state
  FROM (SELECT id, key, fingerprint, state, handler FROM messaging_inbox ORDER BY id DESC LIMIT %s) AS newest
 WHERE handler = %s AND state NOT IN ('waiting', 'skipped')
 ORDER BY id DESC LIMIT %s
"""


def check(handler: Handler, fingerprint: str) -> None:
    """Pause the handler, in the open transaction, if its last events of different keys all failed by `fingerprint`."""
    wanted = conf().fuse_events
    keys: set[str] = set()
    for key, found, state in _last(handler, 3 * wanted):
        if state == "done" or found != fingerprint:
            return
        keys.add(key)
        if len(keys) == wanted:
            _open(handler, fingerprint, wanted)
            return


def _last(handler: Handler, count: int) -> list[tuple[str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [NEWEST, handler.name, count])
        return list(cursor.fetchall())


def _open(handler: Handler, fingerprint: str, count: int) -> None:
    reason = f"the last {count} events, of different keys, failed with the same fingerprint: {fingerprint}"
    if pauses.insert(handler.name, reason=reason, actor=ACTOR):
        logger.critical(
            "the circuit breaker has paused %s: %s. Fix the cause, then run: manage.py %s resume %s --reason TEXT",
            handler.name,
            reason,
            conf().service,
            handler.name,
        )
