"""A worker whose thread hangs ends, and its successor goes on; from outside a file and /readyz tell who works."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from config.celery import app
from messaging.tasks import retry_parked
from messaging.worker import live_workers
from messaging.worker.bootsteps import EXIT_THREAD_DIED
from tests.messaging.parked import gate, make_due
from tests.messaging.patience import SOON_MISSED
from tests.messaging.proxy import proxy
from tests.messaging.rows import publish_notes, waiting
from tests.messaging.test_batch import note, singly
from tests.messaging.test_consumer import applied, is_applied, notes
from tests.messaging.waiting import eventually
from tests.messaging.worker import worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("impatient_broker")]

HANG = {"HANG_SECONDS": 5}


@pytest.fixture
def start(tmp_path, group, reader):
    """Start a worker in this test's own group, whose partitions go to others soon when it dies."""
    return partial(worker, tmp_path / "output", group, **SOON_MISSED)


@pytest.fixture
def alive(tmp_path) -> Path:
    return tmp_path / "alive"


def assert_ended_by_its_watch(running, title: str) -> None:
    assert running.child.wait(120) == EXIT_THREAD_DIED, running.said
    assert f"the {title} made no progress for" in running.said


@pytest.mark.parametrize("fault", ["hung poll", "hung offset commit"])
def test_a_worker_whose_kafka_client_hangs_ends_and_its_successor_goes_on(start, write, key, fault):
    write.events(*notes(key, 5))
    with start(fault=fault, **HANG) as running:
        assert_ended_by_its_watch(running, "kafka-consumer")
    with start():
        write.events(*notes(key, 10)[5:])
        eventually(lambda: is_applied(key, 10), 60)

    assert applied(key) == applied(key, "batch") == list(range(10))


def test_a_worker_whose_relay_hangs_ends_and_its_successor_sends_the_rows(start, key, log):
    publish_notes((key, 1), (key, 2))
    with start(fault="hung flush", **HANG) as running:
        assert_ended_by_its_watch(running, "outbox-relay")
    with start():
        eventually(lambda: waiting() == [], 60)

    assert log.first_numbers(key) == [1, 2]


def test_a_worker_whose_drain_hangs_ends_and_its_successor_drains(start, group, monkeypatch, settings):
    """A parked event's handler waits for ever, in the pool: until it ends, this process tries no parked key again."""
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 3}
    gate(monkeypatch)
    singly(group, note("a", 1, "gated"))
    make_due()
    with start(fault="hung drain", **HANG) as running:
        running.wait_ready()
        eventually(lambda: ticked() and running.child.poll() is not None, 60)
        assert_ended_by_its_watch(running, "retry of parked keys")
    with start() as running:
        running.wait_ready()
        make_due()
        eventually(lambda: ticked() and applied("a") == [1], 60)


def ticked() -> bool:
    """Send what beat sends every second."""
    app.send_task(retry_parked.name)
    time.sleep(0.5)
    return True


def test_a_worker_whose_database_commit_never_returns_ends_and_the_effect_is_one(start, write, key):
    with (
        proxy(int(connection.settings_dict["PORT"])) as between,
        start("--no-relay", database_port=between.port, **HANG) as running,
    ):
        running.wait_ready()
        write.events(*notes(key, 1))
        eventually(lambda: is_applied(key, 1), 30)
        with between.holding("answers"):
            write.events(*notes(key, 6)[1:])
            assert_ended_by_its_watch(running, "kafka-consumer")
    with start():
        eventually(lambda: is_applied(key, 6), 60)

    assert applied(key) == applied(key, "batch") == list(range(6))


def test_a_worker_that_was_frozen_as_a_whole_goes_on_when_it_wakes(start, write, key):
    with start(HANG_SECONDS=3) as running:  # the freeze is longer, and longer than the session timeout
        running.wait_ready()
        write.events(*notes(key, 1))
        eventually(lambda: is_applied(key, 1), 30)
        running.child.send_signal(signal.SIGSTOP)
        time.sleep(5)
        running.child.send_signal(signal.SIGCONT)
        write.events(*notes(key, 2)[1:])
        eventually(lambda: is_applied(key, 2), 30)

        assert running.child.poll() is None


def test_a_liveness_file_stays_young_while_all_threads_make_progress(start, alive):
    with start(LIVENESS_FILE=str(alive)) as running:
        running.wait_ready()
        eventually(alive.exists, 30)
        for _ in range(3):
            before = alive.stat().st_mtime
            eventually(lambda: alive.stat().st_mtime > before, 30)  # noqa: B023
        running.child.send_signal(signal.SIGSTOP)
        before = alive.stat().st_mtime
        time.sleep(3)

        assert alive.stat().st_mtime == before


@pytest.mark.parametrize("fault", ["hung poll", "hung flush"])
def test_a_liveness_file_grows_old_when_one_thread_hangs(start, alive, key, fault):
    publish_notes((key, 1))
    with start(fault=fault, LIVENESS_FILE=str(alive)) as running:
        running.wait_ready()
        eventually(alive.exists, 30)
        eventually(lambda: time.time() - alive.stat().st_mtime > 5, 60)

        assert running.child.poll() is None


def test_a_liveness_file_stays_young_while_kafka_is_gone(start, alive):
    with start(LIVENESS_FILE=str(alive), BOOTSTRAP_SERVERS=["127.0.0.1:9"]) as running:
        running.wait_ready()
        eventually(alive.exists, 30)
        for _ in range(2):
            before = alive.stat().st_mtime
            eventually(lambda: alive.stat().st_mtime > before, 30)  # noqa: B023


def test_a_liveness_file_that_cannot_be_written_stops_the_start(start, tmp_path):
    with start(LIVENESS_FILE=str(tmp_path / "no-such-folder" / "alive")) as running:
        assert running.child.wait(120) != os.EX_OK

    assert "no-such-folder" in running.said


def test_living_relays_and_consumers_are_counted_and_dead_ones_are_not(start, group):
    waiting = {"stopped_partitions": 0, "refused_events": 0, "foreign_members": []}
    nobody, everybody = ({"relays": living, "consumers": {group: living}, **waiting} for living in (0, 1))
    assert live_workers.workers() == nobody
    with start() as running:
        eventually(lambda: live_workers.workers() == everybody, 30)
        running.end(signal.SIGKILL)
        eventually(lambda: live_workers.workers() == nobody, 30)
