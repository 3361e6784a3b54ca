"""Celery's worker hosts the consumer and the relay, ends in order, and never lives on without one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from messaging.kafka.clients import admin
from messaging.models import OutboxRow
from messaging.worker.bootsteps import EXIT_REFUSED, EXIT_THREAD_DIED
from tests.messaging.rows import publish_notes, waiting
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, is_applied
from tests.messaging.test_relay import relay_connections
from tests.messaging.waiting import eventually
from tests.messaging.worker import CELERY, variables, worker

pytestmark = pytest.mark.django_db(transaction=True)

#: A consumer in the middle of a batch ends it first; more than this is a hang.
SECONDS = 15
#: Longest wait of a relay that was not woken.
LOOK_SECONDS = 0.3


@pytest.fixture
def start(tmp_path, group, reader):
    """Start a worker in this test's own group."""
    return partial(worker, tmp_path / "output", group)


def members(group: str) -> int:
    with admin() as client:
        [found] = client.describe_groups([group]).values()
    return len(found["members"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=lambda each: each.name)
def test_a_worker_relays_and_consumes_and_ends_in_order_when_it_is_told_to(start, group, key, number):
    with start() as running:
        running.wait_ready()
        publish_notes((key, 1), (key, 2))
        eventually(lambda: applied(key) == applied(key, "batch") == [1, 2])
        began = time.monotonic()

        code = running.end(number)

    assert time.monotonic() - began < SECONDS
    assert code == 0, running.said
    assert members(group) == 0
    assert "searching for neighbors" not in running.said


def test_a_worker_without_a_consumer_only_relays(start, group, key, log):
    with start("--no-consumer") as running:
        running.wait_ready()
        publish_notes((key, 1))
        eventually(lambda: log.numbers(key) == [1] and not OutboxRow.objects.exists())

        assert members(group) == 0
        assert applied(key) == []


def test_a_worker_without_a_relay_only_consumes(start, write, key):
    with start("--no-relay", RELAY_POLL_SECONDS=LOOK_SECONDS) as running:
        running.wait_ready()
        publish_notes((f"{key}-outbox", 1))
        write.events(NoteAdded(key=key, number=1))
        eventually(lambda: is_applied(key, 1))
        assert relay_connections() == 0
        time.sleep(2 * LOOK_SECONDS)
        assert waiting() == [(f"{key}-outbox", 1)]


@pytest.mark.parametrize("fault", ["consumer", "relay"])
def test_a_thread_that_dies_takes_its_worker_with_it(start, fault):
    with start(fault=fault) as running:
        assert running.end() == EXIT_THREAD_DIED

    assert f"{fault} failed: the worker process ends" in running.said
    assert "ZeroDivisionError: a bug in the thread itself" in running.said


def test_a_worker_refuses_a_database_without_its_migrations(start, group, key):
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("messaging", "0005_parked_marks")
    publish_notes((key, 1))
    try:
        with start() as running:
            assert running.end() == EXIT_REFUSED, running.said
    finally:
        recorder.record_applied("messaging", "0005_parked_marks")

    assert "run the migrate command" in running.said
    assert OutboxRow.objects.count() == 1


def test_a_signal_to_hang_up_starts_the_worker_again(tmp_path, group, reader, key):
    output = tmp_path / "output"
    command = [sys.executable, "-m", "celery", *CELERY, "-n", f"{group}@%h"]
    with output.open("wb") as file:
        own = os.environ | variables(group)
        process = subprocess.Popen(command, env=own, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        eventually(lambda: output.read_text().count(" ready.") == 1)
        process.send_signal(signal.SIGHUP)
        eventually(lambda: output.read_text().count(" ready.") == 2 or process.poll() is not None)
        publish_notes((key, 1))
        eventually(lambda: is_applied(key, 1) or process.poll() is not None)
        process.terminate()
        assert process.wait(SECONDS + 15) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()

    assert is_applied(key, 1)


def test_a_group_that_the_service_does_not_have_is_refused_with_those_that_it_has(start, group):
    with start("--consumer-group", "nobody") as running:
        code = running.end()

    assert code not in (0, EXIT_THREAD_DIED)
    assert f"sample has no consumer group 'nobody'; it has {group}, {group}-claims" in running.said
