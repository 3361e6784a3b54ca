"""Shorter bounds of Kafka and PostgreSQL than in production, for tests that have to wait until one has passed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from psycopg2 import sql

#: Settings of a process that dies or freezes: others get its partitions so soon. Needs the fixture `impatient_broker`.
SOON_MISSED: dict[str, Any] = {"SESSION_TIMEOUT_MS": 2000}


@contextmanager
def idle_transactions_end_after(seconds: int) -> Iterator[None]:
    """Let PostgreSQL end a transaction that is idle for so long, in sessions that begin within the with block."""
    _alter("SET idle_in_transaction_session_timeout = {}", f"{seconds}s")
    try:
        yield
    finally:
        _alter("RESET idle_in_transaction_session_timeout")


def _alter(change: str, *values: str) -> None:
    statement = sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} " + change)
    database = sql.Identifier(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(statement.format(database, *map(sql.Literal, values)))


def is_in_transaction() -> bool:
    """Tell whether another session of this database has been silent within a transaction for a while."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND state = 'idle in transaction' AND now() - xact_start > interval '0.3 s'"
        )
        return bool(cursor.fetchone()[0])
