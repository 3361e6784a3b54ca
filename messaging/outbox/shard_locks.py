"""Which relay serves which shard: one session advisory lock a shard, on the relay's own connection.

PostgreSQL ends the connection of a relay that is idle for too long, so a frozen relay loses its shards. The connection
is in autocommit; idle_session_timeout does not apply inside a transaction, idle_in_transaction_session_timeout does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from messaging.conf import conf
from messaging.database import own_connection
from messaging.outbox.notifier import CHANNEL

#: First of the two numbers of our advisory locks; the second is the shard.
LOCK_SPACE = 0x0B0C
#: The same for the lock that every relay shares while it sends and that `repartition` holds exclusively; (…, 0).
SENDING_SPACE = 0x0B0D

_LOOK = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()),
       EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
                WHERE datname = current_database() AND locktype = 'advisory' AND mode = 'ExclusiveLock'
                  AND (classid, objid, objsubid) = (%s, 0, 2))
"""


class ShardConnection:
    """The relay's connection: it holds the locks, listens for the wake, reads rows and deletes them."""

    def __init__(self) -> None:
        settings = conf()
        self.name = f"{settings.service}:relay"
        idle = f"{settings.relay_idle_seconds}s"
        self.raw = own_connection(
            application_name=self.name,
            idle_session_timeout=idle,
            idle_in_transaction_session_timeout=idle,
            statement_timeout="8s",
        )
        self.owned: list[int] = []
        self._sending = False
        self._blocked = False
        self.execute(f"LISTEN {CHANNEL}")

    def execute(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any. psycopg2.Error when the connection is gone."""
        with self.raw.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall()) if cursor.description else []

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all statements of the with block see the same committed rows: one read-only transaction."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            self.execute("COMMIT")

    def share(self) -> None:
        """Take or release shards so that the live relays of this service have about the same number each."""
        [(relays, self._blocked)] = self.execute(_LOOK, [self.name, SENDING_SPACE])
        fair = math.ceil(conf().shards / max(1, relays))
        while len(self.owned) > fair:
            self.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_SPACE, self.owned.pop()])
        for shard in range(conf().shards):
            if len(self.owned) < fair and shard not in self.owned and self._take(shard):
                self.owned.append(shard)

    def may_send(self) -> bool:
        """Return whether a round may begin: not while `repartition` holds the exclusive lock, or waits for it.

        The relay asks between two rounds only, so the holder of the exclusive lock knows that no round is running.
        """
        if self._blocked and self._sending:
            self.execute("SELECT pg_advisory_unlock_shared(%s, 0)", [SENDING_SPACE])
            self._sending = False
        elif not self._blocked and not self._sending:
            [(self._sending,)] = self.execute("SELECT pg_try_advisory_lock_shared(%s, 0)", [SENDING_SPACE])
        return self._sending

    def _take(self, shard: int) -> bool:
        return bool(self.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_SPACE, shard])[0][0])

    def close(self) -> None:
        """Release every shard by closing the connection."""
        self.owned = []
        self.raw.close()
