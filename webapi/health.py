"""The health checks of an orchestrator: is the process alive, is it ready for traffic.

They check neither Kafka nor workers, because the API works without them. READY_NOTES may add notes about workers to
/readyz.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapi.database_waits import shorten_request

logger = logging.getLogger(__name__)

#: A probe waits one or two seconds. A database that needs longer is not ready for traffic.
READY_SECONDS = 2.0
#: Set when every migration is applied. A process never gets new ones, and the check imports them all: too much work
#: for each request to a public URL.
all_applied = threading.Event()


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Always answer 200. A dead database is no reason to restart the process."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 if every check is ok, else 503. The body has the result of each check.

    The notes are for people: the status does not depend on them.
    """
    shorten_request(READY_SECONDS)
    checks = {name: _outcome(check) for name, check in CHECKS.items()}
    well = all(outcome == "ok" for outcome in checks.values())
    notes = {name: _outcome(import_string(path)) for name, path in settings.READY_NOTES.items()} if well else {}
    status = {"status": "ok" if well else "unready", "checks": checks}
    return JsonResponse(status | notes, status=200 if well else 503)


def database_answers() -> str:
    """Return ok if the database answers a query; DatabaseError otherwise."""
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


def answer_probes(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """A middleware, the first one: answer probes whatever their Host header names, such as the address of a pod.

    These two views use no host. Every other URL is answered only for ALLOWED_HOSTS.
    """
    probes = {"/livez": live, "/readyz": ready}

    def answer(request: HttpRequest) -> HttpResponseBase:
        probe = probes.get(request.path_info)
        return probe(request) if probe else get_response(request)

    return answer


CHECKS: dict[str, Callable[[], str]] = {"database": database_answers, "migrations": migrations_are_applied}


def _outcome(check: Callable[[], Any]) -> Any:
    try:
        return check()
    except DatabaseError as error:
        # The error contains hosts and roles, which a public URL must not show.
        logger.error("Not ready, %s: %s", check.__name__, error)
        return "the database does not answer"
