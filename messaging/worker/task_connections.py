"""Lets a task use its thread's database connection again, as a request does.

Celery's support for Django closes it before and after every task, whatever CONN_MAX_AGE says. The timers alone then
made a service at rest open more than one connection a second: a new server process, and a password check on both sides.
"""

from __future__ import annotations

import sys

from celery import Celery
from celery.signals import task_postrun, task_prerun
from django.db import close_old_connections


def keep_connections(app: Celery) -> None:
    """Close a connection around a task only when it is broken, or older than CONN_MAX_AGE."""
    app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize  # Celery counts tasks to this number and only then closes
    for signal in (task_prerun, task_postrun):
        signal.connect(close_old_connections, dispatch_uid="messaging.task_connections")
