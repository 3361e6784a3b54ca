"""The settings of a service's role at its database: what it may have that nobody set for us, and what ours have."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from stack import postgres
from stack.layout import Layout
from stack.state import State

SPOILED = {"default_transaction_isolation": "repeatable read", **dict.fromkeys(postgres.ROLE_SETTINGS, "0")}
GOOD = {"default_transaction_isolation": "read committed", **postgres.ROLE_SETTINGS}


def alter(layout: Layout, service: str, settings: Mapping[str, str]) -> None:
    """Give a service's role these settings, and end its sessions: only new ones take them. psycopg2.Error."""
    name = f"{service}_service"
    with closing(postgres.connect(State.load(layout), service)) as opened, opened.cursor() as cursor:
        for setting, value in settings.items():
            cursor.execute(f"ALTER ROLE {name} SET {setting} = %s", [value])
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [name])
