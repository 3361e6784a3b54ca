"""Which consumers and relays of this service are alive, from the connections of its database.

Each has its own connection, named after its role. A dead process loses its connection immediately; a frozen process, or
a hung thread, when `idle_session_timeout` expires.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import psycopg2
from django.db import connection

from messaging.conf import conf
from messaging.database import own_connection
from messaging.inbox.group_members import foreign_members
from messaging.worker.member_check import MemberCheck

logger = logging.getLogger(__name__)

RENEW_SECONDS = 5.0


class Presence:
    """Keeps a connection open while a consumer makes progress. One thread runs it."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._connection: Any = None
        self._members = MemberCheck(consumer)

    def run(self) -> None:
        """Run until the process ends."""
        seen = None
        while True:
            if self._consumer.progress != seen:
                seen = self._consumer.progress
                self._renew()
            threading.Event().wait(RENEW_SECONDS)

    def _renew(self) -> None:
        try:
            if self._connection is None:
                idle = f"{conf().max_poll_interval_ms}ms"
                name = consumer_name(self._consumer.group)
                self._connection = own_connection(application_name=name, idle_session_timeout=idle)
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                self._members.look(cursor)
        except psycopg2.Error as error:
            logger.info("the database does not show this consumer as alive for now: %s", error)
            self._close()
        except Exception:
            # This thread must not end: without it a living consumer looks dead. What it asks Kafka is not essential.
            logger.exception("a look at this consumer's group failed; it is tried again")
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def consumer_name(group: str) -> str:
    return f"{conf().service}:consumer:{group}"


def workers() -> dict[str, Any]:
    """Return how many relays, and consumers of each group, live, and how many partitions and events wait for a person.

    Also the client ids of the foreign members of its groups.

    For operators and dashboards only: no traffic depends on it. DatabaseError when the database does not answer.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1"
        )
        living = dict(cursor.fetchall())
        cursor.execute("SELECT count(*) FROM messaging_consumer_position WHERE stopped_reason IS NOT NULL")
        [stopped] = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM messaging_outbox WHERE refused IS NOT NULL")
        [refused] = cursor.fetchone()
    return {
        "relays": living.get(f"{conf().service}:relay", 0),
        "consumers": {group: living.get(consumer_name(group), 0) for group in conf().groups},
        "stopped_partitions": stopped,
        "refused_events": refused,
        "foreign_members": [f"{each.group}: {each.client_id[:100]}" for each in foreign_members(conf().groups)],
    }
