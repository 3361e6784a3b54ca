"""A request's time with its database, on a real server that can be made to stand still."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from django.db import close_old_connections, connection
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import get_wait_callback

from tests.webapi.gate import Gate
from webapi import database_waits
from webapi.database_waits import PROBE_SECONDS, DatabaseSilent, Silence

pytestmark = pytest.mark.django_db(transaction=True)

#: What a request has here; far longer than an answer takes, and short enough to wait for.
SECONDS = 2.0
LARGE = "x" * 30_000_000


@pytest.fixture
def gate(transactional_db: None) -> Iterator[Gate]:
    gate = Gate((connection.settings_dict["HOST"], int(connection.settings_dict["PORT"])))
    yield gate
    gate.close()


@pytest.fixture
def limited() -> Iterator[None]:
    """Limit waits as a web process does, with a request in hand."""
    database_waits.limit_waits(seconds=SECONDS)
    begin_request()
    yield
    database_waits.stop_limiting()


def begin_request() -> None:
    """Begin a new request in this thread."""
    get_wait_callback().begin_request()


def connect(gate: Gate) -> Connection:
    """Connect through the gate."""
    return psycopg2.connect(**connection.get_connection_params() | {"port": gate.port})


def run(opened: Connection, statement: str, *values: object) -> None:
    """Run a statement."""
    with opened.cursor() as cursor:
        cursor.execute(statement, values)


STATEMENTS: dict[str, Callable[[Connection], None]] = {
    "a query": lambda opened: run(opened, "SELECT 1"),
    "a statement too large for the socket": lambda opened: run(opened, "SELECT length(%s)", LARGE),
    "a commit": lambda opened: opened.commit(),
    "a rollback": lambda opened: opened.rollback(),
}


@pytest.mark.parametrize("what", STATEMENTS)
def test_whatever_is_sent_to_a_silent_server_ends_with_the_requests_time(limited: None, gate: Gate, what: str) -> None:
    opened = connect(gate)
    run(opened, "SELECT 1")
    gate.open.clear()
    with pytest.raises(psycopg2.OperationalError, match="did not answer for"):
        STATEMENTS[what](opened)
    assert opened.closed


def test_connecting_to_a_silent_server_ends_with_the_requests_time(limited: None, gate: Gate) -> None:
    gate.open.clear()
    with pytest.raises(psycopg2.OperationalError, match="did not answer for"):
        connect(gate)


def test_all_statements_of_a_request_share_its_time(limited: None, gate: Gate) -> None:
    opened = connect(gate)
    run(opened, f"SELECT pg_sleep({SECONDS * 0.7})")
    with pytest.raises(DatabaseSilent):
        run(opened, f"SELECT pg_sleep({SECONDS * 0.7})")


def test_the_next_request_has_all_of_its_time(limited: None, gate: Gate) -> None:
    opened = connect(gate)
    for _ in range(2):
        run(opened, f"SELECT pg_sleep({SECONDS * 0.7})")
        begin_request()


def test_a_thread_without_a_request_has_the_time_for_each_statement(limited: None, gate: Gate) -> None:
    get_wait_callback().end_request()
    opened = connect(gate)
    for _ in range(2):
        run(opened, f"SELECT pg_sleep({SECONDS * 0.7})")
    gate.open.clear()
    with pytest.raises(DatabaseSilent):
        run(opened, "SELECT 1")


def test_one_slow_statement_is_no_reason_to_refuse_others(limited: None, gate: Gate) -> None:
    slow, quick = connect(gate), connect(gate)
    ended = threading.Event()

    def wait_too_long() -> None:
        with pytest.raises(DatabaseSilent):
            run(slow, f"SELECT pg_sleep({SECONDS * 2})")
        ended.set()

    thread = threading.Thread(target=wait_too_long)
    thread.start()
    while not ended.wait(0.05):
        begin_request()
        run(quick, "SELECT 1")
    thread.join()
    run(quick, "SELECT 1")


def test_the_first_answer_ends_the_silence(limited: None, gate: Gate) -> None:
    opened = connect(gate)
    gate.open.clear()
    with pytest.raises(DatabaseSilent):
        run(opened, "SELECT 1")
    gate.open.set()
    begin_request()
    again = connect(gate)
    begin_request()
    run(again, f"SELECT pg_sleep({PROBE_SECONDS * 1.2})")


def test_in_a_silence_one_request_asks_for_all_and_the_others_are_refused_at_once() -> None:
    silence = Silence()
    assert silence.allow(0.0, 5.0) == 5.0
    silence.noticed(began=0.0, now=5.0)
    assert silence.allow(5.0, 5.0) == PROBE_SECONDS
    with pytest.raises(DatabaseSilent, match="another request is already probing"):
        silence.allow(5.0 + PROBE_SECONDS / 2, 5.0)
    assert silence.allow(5.0 + PROBE_SECONDS, 5.0) == PROBE_SECONDS
    silence.over(7.0)
    assert silence.allow(7.0, 5.0) == 5.0


@pytest.mark.parametrize(("began", "now"), [(0.0, PROBE_SECONDS * 0.9), (1.0, 1.0)])
def test_the_last_moment_of_a_requests_time_is_no_silence(began: float, now: float) -> None:
    silence = Silence()
    silence.noticed(began=began, now=now)
    assert silence.allow(now, 5.0) == 5.0


def test_a_silence_is_one_only_when_nobody_had_an_answer_meanwhile() -> None:
    silence = Silence()
    silence.over(1.0)
    silence.noticed(began=0.0, now=5.0)
    assert silence.allow(5.0, 5.0) == 5.0


@pytest.fixture
def behind_the_gate(limited: None, gate: Gate) -> Iterator[Gate]:
    """Let Django's connection go through the gate."""
    connection.close()
    kept = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = gate.port
    yield gate
    gate.open.set()
    connection.close()
    connection.settings_dict["PORT"] = kept


def wake(gate: Gate) -> None:
    """Let the server answer again; the test client leaves out what Django does after each request."""
    gate.open.set()
    close_old_connections()


def test_readiness_is_told_while_the_database_stands_still(behind_the_gate: Gate, client: Any) -> None:
    assert client.get("/readyz").status_code == 200
    behind_the_gate.open.clear()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "the database does not answer")
    assert client.get("/livez").status_code == 200
    wake(behind_the_gate)
    assert client.get("/readyz").status_code == 200


def test_readiness_waits_less_than_other_requests_may(behind_the_gate: Gate, client: Any) -> None:
    database_waits.limit_waits(seconds=60)
    behind_the_gate.open.clear()
    began = time.monotonic()
    assert client.get("/readyz").status_code == 503
    assert time.monotonic() - began < 30


def test_an_address_of_the_api_answers_503_while_the_database_stands_still(behind_the_gate: Gate, client: Any) -> None:
    body = {"username": "nobody", "password": "nothing-of-the-kind"}
    assert client.post("/api/v1/token", body).status_code == 401
    behind_the_gate.open.clear()
    answer = client.post("/api/v1/token", body)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer["Retry-After"]
    wake(behind_the_gate)
    assert client.post("/api/v1/token", body).status_code == 401


def test_the_web_process_limits_its_waits_and_no_other_does() -> None:
    look = "from psycopg2.extensions import get_wait_callback as g; import sys, {}; sys.exit(g() is None)"
    limits = {
        module: subprocess.run([sys.executable, "-c", look.format(module)], check=False).returncode == 0
        for module in ("config.wsgi", "config.celery")
    }
    assert limits == {"config.wsgi": True, "config.celery": False}
