"""Connections that Django does not manage (the relay's locks and the notifier use them), and what PostgreSQL stores."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connection

from messaging.session import prepare


def own_connection(*, application_name: str, **session: str) -> Any:
    """Open a psycopg2 connection to the service's database, in autocommit.

    `session` are PostgreSQL's run-time parameters for this session. psycopg2.OperationalError when it is unreachable.
    """
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name not in ("cursor_factory", "client_encoding", "options")
    }
    parameters["application_name"] = application_name
    session = {"default_transaction_isolation": r"read\ committed", **session}  # whatever the role's default
    parameters["options"] = " ".join(f"-c {name}={value}" for name, value in session.items())
    opened = psycopg2.connect(**parameters)
    opened.autocommit = True
    return opened


@cache
def longest_idle() -> float:
    """Return for how many seconds PostgreSQL lets our transactions be idle; infinite without a limit."""
    with own_connection(application_name=f"{settings.SERVICE_NAME}:probe") as opened, opened.cursor() as cursor:
        prepare(cursor)
        cursor.execute("SELECT setting::float FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'")
        milliseconds: float = cursor.fetchone()[0]
    opened.close()
    return milliseconds / 1000 or math.inf


def takes_writes() -> bool:
    """Return whether a trivial write on a new connection commits within two seconds.

    This distinguishes a database that hangs from a statement that is slow.
    """
    try:
        opened = own_connection(application_name=f"{settings.SERVICE_NAME}:probe", statement_timeout="2s")
    except psycopg2.Error:
        return False
    try:
        with opened.cursor() as cursor:
            cursor.execute("SELECT pg_logical_emit_message(true, 'probe', '')")
        return True
    except psycopg2.Error:
        return False
    finally:
        opened.close()


def storable(text: str) -> str:
    """Return the text as PostgreSQL can keep it: without zero characters and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
