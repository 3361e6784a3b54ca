"""A stopping worker finishes its current work, leaves everything in order, and always ends."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection

from messaging.consumer.loop import Consumer
from messaging.inbox import positions
from messaging.kafka.clients import admin
from messaging.worker.bootsteps import EXIT_BY_FORCE, JOIN_SECONDS, STOP_SECONDS
from stack import control
from stack.services import WORKER_STOP_SECONDS
from tests.messaging.conftest import consumer_of
from tests.messaging.patience import is_in_transaction
from tests.messaging.producing import Writer
from tests.messaging.rows import publish_notes, waiting
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, is_applied
from tests.messaging.test_relay_processes import shares
from tests.messaging.threads import running
from tests.messaging.waiting import eventually
from tests.messaging.worker import STOP, Worker, worker

pytestmark = pytest.mark.django_db(transaction=True)

PARTITIONS = range(3)
#: Seconds after which a worker that hangs ends by force, instead of bootsteps.STOP_SECONDS.
FORCED_SECONDS = 8
SOON_FORCED = {STOP: str(FORCED_SECONDS)}
Start = Callable[..., AbstractContextManager[Worker]]


@pytest.fixture
def start(tmp_path, group, reader) -> Start:
    """Start workers in this test's own group."""
    numbers = itertools.count()
    return lambda *options, **more: worker(tmp_path / f"output-{next(numbers)}", group, *options, **more)


def members(group: str) -> int:
    with admin() as client:
        [found] = client.describe_groups([group]).values()
    return len(found["members"])


def told_to_kafka(group: str) -> dict[positions.Place, int]:
    """Return the group's committed offset."""
    with admin() as client:
        [found] = client.list_group_offsets({group: None}).values()
    return {(tp.topic, tp.partition): answer.offset for tp, answer in found.items()}


@contextmanager
def load(key: str, write: Writer) -> Iterator[list[int]]:
    """Write numbered notes to a key of each partition and to the outbox, and tell how many, for a with block."""
    written, over = [0], threading.Event()

    def run() -> None:
        while not over.wait(0.02):
            for partition in PARTITIONS:
                write.events(NoteAdded(key=f"{key}-{partition}", number=written[0]), partition=partition)
            publish_notes((f"{key}-outbox", written[0]))
            written[0] += 1
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield written
    finally:
        over.set()
        thread.join()


def applied_everywhere(key: str) -> list[list[int]]:
    return [applied(f"{key}-{partition}") for partition in PARTITIONS]


def test_a_worker_told_to_stop_under_load_leaves_shards_and_partitions_to_the_others_at_once(
    start: Start, group, write, key, log
):
    with start() as leaving, start("--no-relay") as staying:
        for each in (leaving, staying):
            each.wait_ready()
        eventually(lambda: members(group) == 2)
        with load(key, write) as written:
            eventually(lambda: min(map(len, applied_everywhere(key))) > 20)

            assert leaving.end(signal.SIGTERM) == 0, leaving.said
            assert members(group) == 1
            eventually(lambda: shares() == [], 2)
            taken_over = [len(each) for each in applied_everywhere(key)]
            eventually(
                lambda: all(len(now) > then for now, then in zip(applied_everywhere(key), taken_over, strict=True)), 4
            )
        eventually(lambda: applied_everywhere(key) == [list(range(written[0]))] * len(PARTITIONS))

    sent = log.numbers(f"{key}-outbox")
    assert sent + [number for _, number in waiting()] == list(range(written[0]))
    assert set(sent).isdisjoint(number for _, number in waiting())


def test_a_worker_told_to_stop_under_load_tells_kafka_exactly_where_it_stands(start: Start, group, write, key):
    with start() as running:
        running.wait_ready()
        with load(key, write):
            eventually(lambda: min(map(len, applied_everywhere(key))) > 20)

            assert running.end(signal.SIGTERM) == 0, running.said

    here = told_to_kafka(group)
    assert len(here) == len(PARTITIONS)
    assert here == positions.read(group, here)


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGQUIT,), (signal.SIGTERM, signal.SIGQUIT)],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
def test_a_worker_told_to_stop_once_or_twice_ends_the_batch_in_hand_and_tells_kafka(
    start: Start, group, write, key, numbers
):
    with start() as running:
        running.wait_ready()
        write.events(NoteAdded(key=key, number=1, behaviour="slow"), partition=0)
        eventually(is_in_transaction)
        for number in numbers[:-1]:
            running.child.send_signal(number)
            time.sleep(0.2)

        assert running.end(numbers[-1]) == 0, running.said
        assert members(group) == 0

    assert applied(key) == applied(key, "batch") == [1]
    place = (django_settings.SAMPLE_TOPIC, 0)
    assert told_to_kafka(group)[place] == positions.read(group, [place])[place]


@contextmanager
def frozen(server: str) -> Iterator[None]:
    """Keep one of the stack's servers from answering, for a with block."""
    control.kill(server, "SIGSTOP")
    try:
        yield
    finally:
        control.kill(server, "SIGCONT")


@contextmanager
def stopped(server: str) -> Iterator[None]:
    """Keep one of the stack's servers down, for a with block."""
    connection.close()
    control.stop(server)
    try:
        yield
    finally:
        control.start(server)
        eventually(database_answers)


def database_answers() -> bool:
    """Connect; a server that has just started may still refuse it."""
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


@pytest.mark.parametrize(
    ("server", "outage"),
    [("postgres-product", frozen), ("postgres-product", stopped), ("kafka", frozen), ("redis", frozen)],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_a_worker_told_to_stop_while_a_server_is_away_ends_in_bounded_time(
    start: Start, write, key, server: str, outage: Any
):
    with start(environment=SOON_FORCED) as running:
        running.wait_ready()
        publish_notes(*((f"{key}-{number}", number) for number in range(20)))
        write.events(*(NoteAdded(key=f"{key}-{number}", number=number) for number in range(20)))
        with outage(server):
            time.sleep(2)
            began = time.monotonic()

            assert running.end(signal.SIGTERM) in (0, EXIT_BY_FORCE), running.said
            assert time.monotonic() - began < WORKER_STOP_SECONDS


def test_a_worker_leaves_its_group_at_the_signal_also_while_celery_waits_for_a_frozen_broker(start: Start, group):
    with start(environment=SOON_FORCED) as running:
        running.wait_ready()
        eventually(lambda: members(group) == 1)
        with frozen("redis"):
            time.sleep(2)
            running.child.send_signal(signal.SIGTERM)

            eventually(lambda: members(group) == 0, 5)
            assert running.end() == EXIT_BY_FORCE


def test_a_worker_ends_before_its_supervisor_loses_patience():
    assert JOIN_SECONDS < STOP_SECONDS < WORKER_STOP_SECONDS


def test_a_consumer_whose_connection_is_gone_when_it_stops_ends_in_order(group, reader, write, key, monkeypatch):
    closed = []

    def commit_then_lose(consumer, *, now=False):
        if now:
            closed.append(connection.connection.close())

    with running(consumer_of(group)):
        write.events(NoteAdded(key=key, number=1))
        eventually(lambda: is_applied(key, 1))
        monkeypatch.setattr(Consumer, "_commit_offsets", commit_then_lose)

    assert closed == [None]
