"""/livez and /readyz, with a real database that is taken away."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from messaging.inbox import positions
from webapi import health

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _a_process_that_was_never_asked():
    health.all_applied.clear()


@pytest.fixture
def no_database():
    """Point the connection at a port where nothing listens."""
    connection.close()
    kept = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = "9"
    yield
    connection.close()
    connection.settings_dict["PORT"] = kept


def test_a_service_with_its_database_is_ready(client):
    # When all is well
    response = client.get("/readyz")
    # Then every check is named
    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert response.json()["checks"] == {"database": "ok", "migrations": "ok"}
    assert "no-cache" in response["Cache-Control"]


def test_a_service_is_ready_without_its_workers_and_says_that_there_are_none(client):
    # When no worker runs
    response = client.get("/readyz")
    # Then traffic may come: the API works without them
    assert response.status_code == 200
    none = {"relays": 0, "consumers": {"user": 0}, "stopped_partitions": 0, "refused_events": 0, "foreign_members": []}
    assert response.json()["workers"] == none


@pytest.mark.parametrize("address", ["/livez", "/readyz"])
def test_a_probe_may_name_the_address_of_the_pod(client, address):
    # When a probe comes by an address that is no host name of the service
    response = client.get(address, HTTP_HOST="10.1.2.3:8004")
    # Then it is answered, and only it
    assert response.status_code == 200
    assert client.get("/api/docs", HTTP_HOST="10.1.2.3:8004").status_code == 400


def test_a_stopped_partition_is_told_and_takes_no_traffic_away(client):
    # Given a partition that can't go on
    positions.stop("user", ("order.events", 1), "its reason is not for an open address")
    # When it is asked
    response = client.get("/readyz")
    # Then it says that there is one
    assert response.status_code == 200
    assert response.json()["workers"]["stopped_partitions"] == 1
    assert b"business" not in response.content


def test_a_service_without_its_database_lives_but_is_not_ready(client, no_database):
    # When the database is gone
    response = client.get("/readyz")
    # Then no traffic should come, the process should not be restarted, and no address is shown
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "the database does not answer"
    assert b"127.0.0.1" not in response.content
    assert client.get("/livez").json() == {"status": "ok"}


def test_a_service_with_migrations_to_come_is_not_ready(client):
    # Given a migration that is recorded as not applied
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("sessions", "0001_initial")
    # When it is asked
    try:
        response = client.get("/readyz")
    finally:
        recorder.record_applied("sessions", "0001_initial")
    # Then it says how many are missing
    assert response.status_code == 503
    assert response.json()["checks"] == {"database": "ok", "migrations": "1 not applied; run the migrate command"}


def test_a_process_looks_for_migrations_until_it_finds_them_applied(client, monkeypatch):
    # Given a process that counts how often it looks
    looks = []
    monkeypatch.setattr(health, "MigrationExecutor", lambda used: looks.append(used) or MigrationExecutor(used))
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("sessions", "0001_initial")
    # When it is asked before and after the migration
    try:
        before = [client.get("/readyz").status_code for _ in range(2)]
    finally:
        recorder.record_applied("sessions", "0001_initial")
    after = [client.get("/readyz").status_code for _ in range(5)]
    # Then it looked each time before, and once after
    assert (before, after) == ([503] * 2, [200] * 5)
    assert len(looks) == 3


@pytest.mark.parametrize("address", ["/livez", "/readyz"])
def test_health_is_read_only_and_open(client, address):
    # When it is asked without a token, then it answers, to reading alone
    assert client.get(address).status_code == 200
    assert client.head(address).status_code == 200
    assert client.post(address).status_code == 405
