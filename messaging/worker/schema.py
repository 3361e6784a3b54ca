"""Whether the database has the tables and sessions that a worker needs: it does not begin before it knows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psycopg2
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from messaging.database import check_sessions
from messaging.errors import MessagingError

logger = logging.getLogger(__name__)

#: Delay, in seconds, before the next question to a database that did not answer.
AGAIN_SECONDS = 1.0

_lock = threading.Lock()
_applied = threading.Event()
_sessions = threading.Event()


class MigrationsMissing(MessagingError):
    """The database lacks migrations of this code."""


def check_sessions_once() -> None:
    """Raise PoolerInTheWay when a pooler stands where the worker needs sessions; asked once in a process."""
    with _lock:
        if not _sessions.is_set():
            check_sessions()
            _sessions.set()


def check_migrations() -> None:
    """Raise MigrationsMissing unless every migration of this code is applied; DatabaseError without an answer.

    Asked once in a process. Later migrations than this code's do no harm: they only add.
    """
    with _lock:
        if _applied.is_set():
            return
        loader = MigrationLoader(connection)
        pending = sorted(loader.graph.nodes.keys() - loader.applied_migrations.keys())
        if pending:
            names = ", ".join(f"{app}.{name}" for app, name in pending[:5])
            raise MigrationsMissing(f"{len(pending)} migrations are not applied ({names}, …): run the migrate command")
        _applied.set()


def wait_for_database(stopping: Callable[[], bool], waiting: Callable[[], None]) -> None:
    """Return when the check passed, or the worker stops. Wait for a database that is down; call `waiting` meanwhile."""
    while not stopping():
        try:
            check_sessions_once()
            check_migrations()
            break
        except (DatabaseError, psycopg2.Error) as error:
            logger.warning("the worker could not check its database yet; it tries again: %s", error)
            connection.close()
        waiting()
        threading.Event().wait(AGAIN_SECONDS)
