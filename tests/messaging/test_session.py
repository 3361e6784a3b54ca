"""Roles that are not as assumed: our sessions set isolation and time limits; a check says which ALTER ROLE helps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.db import connection, connections, transaction

from messaging.consumer import retry_parked
from messaging.database import longest_idle, own_connection, session_lock
from messaging.inbox import positions
from messaging.outbox.publish import gather
from messaging.session import SHARES, own_limits
from messaging.worker import role_check
from stack.postgres import ROLE_SETTINGS
from tests.messaging.parked import drain, gate, is_parked, make_due
from tests.messaging.records import fetched
from tests.messaging.test_batch import applied, note, singly
from tests.messaging.test_retry_parked import apply_now

#: Of advisory locks that nothing else takes.
SPACE = 0x7E57

pytestmark = pytest.mark.django_db(transaction=True)


DEPLOYED = Path(__file__).parents[2] / "deploy" / "compose.yaml"


@pytest.fixture
def role() -> Iterator[Any]:
    """Change the settings of our role; what it had is put back at the end."""
    own = [f"SET {name} = '{value}'" for name, value in ROLE_SETTINGS.items()]
    yield lambda *changes: alter(*changes)
    alter("RESET default_transaction_isolation", *own)


def alter(*changes: str) -> None:
    with connection.cursor() as cursor:
        for change in changes:
            cursor.execute(f"ALTER ROLE CURRENT_USER {change}")
    connection.close()


def shown(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return str(cursor.fetchone()[0])


def messages() -> list[str]:
    return [f"{each.msg} {each.hint}" for each in run_checks(databases=["default"]) if each.id == "messaging.W003"]


def test_a_roles_limits_win_while_they_are_in_order(role):
    role(
        "SET lock_timeout = '1s'", "SET statement_timeout = '2500ms'", "SET idle_in_transaction_session_timeout = '4s'"
    )

    assert [shown(name) for name in SHARES] == ["1s", "2500ms", "4s"]
    assert messages() == []


@pytest.mark.parametrize(
    "change",
    [
        ["RESET lock_timeout", "RESET statement_timeout", "RESET idle_in_transaction_session_timeout"],
        ["SET lock_timeout = '9s'"],
        ["SET statement_timeout = '1min'"],
        ["SET idle_in_transaction_session_timeout = 0"],
    ],
)
def test_limits_that_are_not_in_order_are_set_by_our_sessions(role, change):
    role(*change)

    limits = [int(limit) for limit in own_limits().values()]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setting::int FROM unnest(%s) WITH ORDINALITY AS t(name, n) JOIN pg_settings USING (name)"
            " ORDER BY n",
            [list(SHARES)],
        )
        assert [setting for (setting,) in cursor.fetchall()] == limits
    [message] = messages()
    assert "ALTER ROLE product_service SET lock_timeout" in message


def test_the_limits_must_lie_below_the_consumers_session_timeout(role, settings):
    """A worker that Kafka has given up must not hold its locks any longer."""
    settings.MESSAGING = {**settings.MESSAGING, "SESSION_TIMEOUT_MS": 9000}
    [message] = messages()
    settings.MESSAGING = {**settings.MESSAGING, "SESSION_TIMEOUT_MS": 10_000}

    assert "idle_in_transaction_session_timeout = 9000 ms" in message
    assert messages() == []


def test_our_sessions_are_read_committed_whatever_the_role(role):
    role("SET default_transaction_isolation = 'repeatable read'")

    with own_connection(application_name="test") as own, own.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
    own.close()
    for _ in range(2):
        with transaction.atomic():
            assert shown("transaction_isolation") == "read committed"
        assert shown("transaction_isolation") == "read committed"
    assert "ALTER ROLE product_service SET default_transaction_isolation = 'read committed'" in " ".join(messages())


def test_a_key_is_not_unparked_under_a_batch_that_queues_whatever_the_role(role, group, monkeypatch, settings):
    """In REPEATABLE READ the retry sees the queue as it was before its wait: the event just queued is stranded."""
    role("SET default_transaction_isolation = 'repeatable read'")
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 3}
    shut = gate(monkeypatch)
    singly(group, note("a", 1, "gated"))
    assert is_parked("a")
    shut.open = True
    make_due()
    batch = fetched(group, note("a", 2))

    def unpark_meanwhile() -> None:
        retry_parked.retry_key(django_settings.SAMPLE_TOPIC, "a")
        connections.close_all()

    thread = threading.Thread(target=unpark_meanwhile)
    with transaction.atomic(), gather():
        positions.lock_and_compare(group, [batch])
        apply_now(group, batch)
        thread.start()
        thread.join(0.7)
        positions.move(group, {batch.place: batch.end})
    thread.join(20)
    drain()

    assert applied("single", "a") == applied("batch", "a") == [1, 2]
    assert not is_parked("a")


def test_what_counts_as_a_slow_attempt_goes_by_the_limit_of_our_sessions(role):
    """A role without limits: the connection of a long attempt is ended by ours, so the attempt counts."""
    role("RESET idle_in_transaction_session_timeout")
    longest_idle.cache_clear()
    try:
        assert longest_idle() == own_limits()["idle_in_transaction_session_timeout"] / 1000
    finally:
        longest_idle.cache_clear()


def test_a_worker_that_starts_says_which_alter_role_helps(role, caplog):
    role("RESET lock_timeout")

    assert role_check._warned()

    assert "What helps: ALTER ROLE product_service SET lock_timeout = " in caplog.text


def test_a_session_that_cannot_be_prepared_is_not_used(monkeypatch):
    monkeypatch.setattr("messaging.session._PREPARE", "SELECT 1/0 WHERE %s <> %s || %s || %s")
    connection.close()

    with pytest.raises(Exception, match="division by zero"):
        connection.ensure_connection()
    assert connection.connection is None


def test_psycopg2s_own_isolation_level_would_cost_a_statement_a_transaction():
    """Why the sessions are set up by a statement, and not by Django's option isolation_level."""
    opened = psycopg2.connect(**connection.get_connection_params())
    opened.isolation_level = psycopg2.extensions.ISOLATION_LEVEL_READ_COMMITTED
    opened.autocommit = True
    with opened.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'repeatable read'")
        opened.autocommit = False
        opened.autocommit = True
        cursor.execute("SHOW default_transaction_isolation")
        assert cursor.fetchone() == ("read committed",)  # it was reset by a statement
    opened.close()


def test_the_shipped_compose_file_has_the_limits_of_the_local_stack():
    deployed = DEPLOYED.read_text(encoding="utf-8")

    assert all(f'"{name}={value}"' in deployed for name, value in ROLE_SETTINGS.items())


def test_a_session_lock_is_free_as_soon_as_it_is_left():
    taken = []
    with closing(own_connection(application_name="other")) as other, other.cursor() as cursor:
        for _ in range(100):
            with session_lock(SPACE, "a test"):
                pass
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext('a test')), pg_advisory_unlock_all()", [SPACE])
            taken.append(cursor.fetchone()[0])

    assert taken == [True] * 100
