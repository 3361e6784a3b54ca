"""Connections that Django does not manage (the relay's locks and the notifier use them), and what PostgreSQL stores."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connection, connections

from messaging.conf import conf
from messaging.errors import MessagingError
from messaging.session import prepare

#: How PgBouncer refuses the run-time parameters of a session.
REFUSED_PARAMETER = "unsupported startup parameter"

#: How often to look: another thread may take the session that would have shown the pooler.
PROBES = 5


class PoolerInTheWay(MessagingError):
    """The database's address leads to a pooler, where a session of our own is needed."""


def need_direct_address() -> str:
    """Return what to do about a pooler."""
    service = settings.SERVICE_NAME.upper()
    return (
        f"the database is reached through a pooler of transactions, which keeps no locks and no notifications. Set"
        f" {service}_DATABASE_DIRECT_URL to the address of PostgreSQL itself (docs/howto/pooler.md)"
    )


def check_sessions() -> None:
    """Raise PoolerInTheWay when the connections of own_connection() are no sessions of their own.

    psycopg2.Error when the database does not answer.
    """
    name = f"{settings.SERVICE_NAME}:probe"
    try:
        with (
            closing(own_connection(application_name=name)) as first,
            closing(own_connection(application_name=name, idle_session_timeout="10s")) as second,
        ):
            shared = any(_share_a_session(first, second) for _ in range(PROBES))
    except psycopg2.OperationalError as error:
        if REFUSED_PARAMETER not in str(error):
            raise
        shared = True
    if shared:
        raise PoolerInTheWay(need_direct_address())


def _share_a_session(first: Any, second: Any) -> bool:
    """Return whether a session of the server serves both, or another one serves `first` while `second` is busy."""
    mark = secrets.token_hex(8)
    look = "SELECT coalesce(current_setting('messaging.probe', true), ''), pg_backend_pid()"
    with first.cursor() as one, second.cursor() as other:
        one.execute("SELECT set_config('messaging.probe', %s, false), pg_backend_pid()", [mark])
        before = one.fetchone()
        other.execute("BEGIN")
        other.execute(look)
        seen = other.fetchone()[0]
        one.execute(look)
        after = one.fetchone()
        other.execute("ROLLBACK")
    return bool(seen == mark or after != before)


def own_connection(*, application_name: str, **session: str) -> Any:
    """Open a psycopg2 connection to the service's database, past its pooler if it has one, in autocommit.

    `session` are PostgreSQL's run-time parameters for this session. psycopg2.OperationalError when it is unreachable.
    """
    parameters = {
        name: value
        for name, value in _parameters().items()
        if name not in ("cursor_factory", "client_encoding", "options")
    }
    parameters["application_name"] = application_name
    session = {"default_transaction_isolation": r"read\ committed", **session}  # whatever the role's default
    parameters["options"] = " ".join(f"-c {name}={value}" for name, value in session.items())
    opened = psycopg2.connect(**parameters)
    opened.autocommit = True
    return opened


def _parameters() -> dict[str, Any]:
    """Return psycopg2's parameters for the database, those of its direct address where one is set."""
    if not conf().direct_database:
        return connection.get_connection_params()
    ordinary = connections[connection.alias]
    direct = type(ordinary)({**ordinary.settings_dict, **conf().direct_database}, ordinary.alias)
    return direct.get_connection_params()


@contextmanager
def session_lock(space: int, name: str, *, idle_session_timeout: str = "0") -> Iterator[bool]:
    """Hold an advisory lock on a session of its own for a with block; yields False when another session has it."""
    held = own_connection(application_name=f"{settings.SERVICE_NAME}:lock", idle_session_timeout=idle_session_timeout)
    with closing(held), held.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [space, name])
        try:
            yield bool(cursor.fetchone()[0])
        finally:
            # The server learns of a closed connection a moment later, and the next command must not find it busy.
            with suppress(psycopg2.Error):
                cursor.execute("SELECT pg_advisory_unlock_all()")


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
