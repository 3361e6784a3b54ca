"""TRUNCATE on a ledger, with the trigger that the other tests have switched off (tests/emptying.py)."""

from __future__ import annotations

from django.db import connection, transaction


def truncate(table: str) -> None:
    """Empty the table as a person would at a psql prompt; nothing of this stays."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_no_truncate")
        cursor.execute(f"TRUNCATE {table}")
