"""Logs, when a worker starts, what is wrong with the settings of its database role, and which ALTER ROLE helps."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import bootsteps
from django.db import Error, connections

logger = logging.getLogger(__name__)

#: How long, in seconds, to wait for a database that is away.
AGAIN_SECONDS = 5.0


class RoleStep(bootsteps.StartStopStep):
    """Checks the role in a thread: a worker starts without its database, too."""

    name = "messaging.role"
    requires = {"celery.worker.components:Pool"}

    def start(self, parent: Any) -> None:
        threading.Thread(target=_warn_when_database_answers, name="role-check", daemon=True).start()

    def stop(self, parent: Any) -> None:
        """Do nothing: the thread ends by itself."""


def _warn_when_database_answers() -> None:
    while not _warned():
        time.sleep(AGAIN_SECONDS)


def _warned() -> bool:
    from messaging.checks import role_settings_fit

    try:
        for problem in role_settings_fit(databases=["default"]):
            logger.warning("%s. What helps: %s", problem.msg, problem.hint)
        return True
    except Error as error:
        logger.info("the role's settings are checked later: %r", error)
        return False
    finally:
        connections.close_all()
