"""Two deployments that migrate at once: the second waits for the first."""

from __future__ import annotations

import threading
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from messaging.management.commands.migrate import LOCK_SPACE
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_second_migrate_waits_for_the_first():
    ended, said = threading.Event(), StringIO()

    def second() -> None:
        call_command("migrate", verbosity=0, stderr=said)
        connection.close()
        ended.set()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, 0)", [LOCK_SPACE])
        thread = threading.Thread(target=second)
        thread.start()
        eventually(lambda: "this one waits until it ends" in said.getvalue())
        assert not ended.wait(1)
        cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [LOCK_SPACE])
    thread.join(30)

    assert ended.is_set()
