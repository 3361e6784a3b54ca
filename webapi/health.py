"""What an orchestrator asks: is the process alive, may it get traffic. Kafka is not asked: the API works without.

Workers are not asked either, for the same reason; the settings may name what /readyz tells of them (READY_NOTES).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapi.database_waits import shorten_request

logger = logging.getLogger(__name__)

#: Who asks waits for a second or two: a database that takes longer is no database to send traffic to.
READY_SECONDS = 2.0
#: Set once every migration was found applied: a process never has more of them than it started with, and to look
#: imports them all, at an address that is open to everybody.
all_applied = threading.Event()


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process answers at all; a dead database is no reason to restart it."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every check is ok, else 503; the body names each check and what is wrong with it.

    What it tells beside the checks is for people: the answer's status does not depend on it.
    """
    shorten_request(READY_SECONDS)
    checks = {name: _outcome(check) for name, check in CHECKS.items()}
    well = all(outcome == "ok" for outcome in checks.values())
    notes = {name: _outcome(import_string(path)) for name, path in settings.READY_NOTES.items()} if well else {}
    status = {"status": "ok" if well else "unready", "checks": checks}
    return JsonResponse(status | notes, status=200 if well else 503)


def database_answers() -> str:
    """Return ok when the database answers a query; DatabaseError otherwise."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def migrations_are_applied() -> str:
    """Return ok, or how many migrations are not applied yet."""
    if all_applied.is_set():
        return "ok"
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        return f"{len(pending)} not applied; run the migrate command"
    all_applied.set()
    return "ok"


CHECKS: dict[str, Callable[[], str]] = {"database": database_answers, "migrations": migrations_are_applied}


def _outcome(check: Callable[[], Any]) -> Any:
    try:
        return check()
    except DatabaseError as error:
        # The error names hosts and roles, which an open address must not show.
        logger.error("Not ready, %s: %s", check.__name__, error)
        return "the database does not answer"
