"""A task uses its thread's database connection again, and gets another one when that is broken."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from config.celery import app
from messaging.tasks import clean_up
from tests.messaging.waiting import eventually
from tests.messaging.worker import worker

pytestmark = pytest.mark.django_db(transaction=True)

#: The sessions that have ended a transaction since then, as the task does; the worker's consumer has nothing to commit.
SESSIONS = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND query = 'COMMIT' AND query_start > %s AND state = 'idle'
   AND pid <> pg_backend_pid()
"""


def ask(query: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [value for (value,) in cursor.fetchall()]


def session_of_a_task() -> int:
    """Send a task, wait until it has ended, and return the process id of its session, which is still there."""
    [now] = ask("SELECT clock_timestamp()")
    app.send_task(clean_up.name)
    [session] = eventually(lambda: ask(SESSIONS, now), 30)
    return int(session)


def test_tasks_share_a_connection_until_it_breaks(tmp_path, group, reader):
    with worker(tmp_path / "output", group) as running:
        running.wait_ready()
        first = session_of_a_task()
        assert [session_of_a_task() for _ in range(3)] == [first] * 3

        ask("SELECT pg_terminate_backend(%s)", first)

        assert session_of_a_task() != first
        assert "raised unexpected" not in running.said
