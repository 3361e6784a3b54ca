"""Which relay serves which shard: a session advisory lock each, on a connection of the relay's own.

PostgreSQL ends the connection of a relay that is silent for too long (idle_session_timeout; the connection is in
autocommit, since that timeout spares one inside a transaction), so a frozen owner loses its shards.
"""

from __future__ import annotations

import math
from typing import Any

from messaging.conf import conf
from messaging.database import own_connection
from messaging.wake import CHANNEL

#: First of the two numbers of our advisory locks; the second is the shard.
LOCK_SPACE = 0x0B0C


class ShardConnection:
    """The relay's connection: it holds the locks, listens for the wake, reads rows and deletes them."""

    def __init__(self) -> None:
        settings = conf()
        self.name = f"{settings.service}:relay"
        self.raw = own_connection(
            application_name=self.name, idle_session_timeout=f"{settings.relay_idle_seconds}s", statement_timeout="8s"
        )
        self.owned: list[int] = []
        self.execute(f"LISTEN {CHANNEL}")

    def execute(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any. psycopg2.Error when the connection is gone."""
        with self.raw.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall()) if cursor.description else []

    def share(self) -> None:
        """Take or give up shards so that the live relays of this service have about the same number each."""
        [(relays,)] = self.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()",
            [self.name],
        )
        fair = math.ceil(conf().shards / max(1, relays))
        while len(self.owned) > fair:
            self.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_SPACE, self.owned.pop()])
        for shard in range(conf().shards):
            if len(self.owned) < fair and shard not in self.owned and self._take(shard):
                self.owned.append(shard)

    def _take(self, shard: int) -> bool:
        return bool(self.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_SPACE, shard])[0][0])

    def close(self) -> None:
        """Give up every shard by closing the connection."""
        self.owned = []
        self.raw.close()
