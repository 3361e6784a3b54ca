"""Old and new code side by side on one database and one log, over a change of a table and of an event.

Three releases (tests/messaging/releases) run as real workers, and the real `migrate` changes the table under them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.db import connection

from messaging.kafka.clients import admin
from messaging.models import InboxRow
from tests.messaging import forkserver
from tests.messaging.log import Log, header
from tests.messaging.producing import Writer
from tests.messaging.records import Record
from tests.messaging.waiting import eventually
from tests.messaging.worker import Worker, variables, worker

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = 20
INTERVAL_SECONDS = 0.3
Start = Callable[[str], Worker]


def of_release(release: str) -> dict[str, str]:
    return {"DJANGO_SETTINGS_MODULE": "tests.messaging.releases.settings", "RELEASE": release}


def migrate(release: str, target: str) -> None:
    """Run the real command with the code of a release."""
    environment = os.environ | variables("none") | of_release(release) | {"ALL_MIGRATIONS": "1"}
    assert forkserver.start("django", "migrate", "parcels", target, environment=environment).wait(60) == 0


@pytest.fixture
def table(db: None) -> Iterator[None]:
    """The table as `before` needs it; nothing of it is left."""
    migrate("before", "0001")
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE parcels_parcel")  # going back is not what is tried here
    migrate("after", "zero")


@pytest.fixture
def start(tmp_path, group, reader, table) -> Iterator[Start]:
    """Start a worker of a release, and wait until it takes part."""
    workers: list[Worker] = []
    with ExitStack() as running:

        def started(release: str) -> Worker:
            output = tmp_path / f"{release}-{len(workers)}"
            workers.append(running.enter_context(worker(output, group, environment=of_release(release))))
            workers[-1].wait_ready()
            alive = [each for each in workers if each.child.poll() is None]
            eventually(lambda: members(group) == len(alive), 30)
            return workers[-1]

        yield started


def stop(old: Worker) -> None:
    assert old.end(signal.SIGTERM) == 0, old.said


def members(group: str) -> int:
    with admin() as client:
        [found] = client.describe_groups([group]).values()
    return len(found["members"])


def packed(key: str, number: int) -> Record:
    """Return a ParcelPacked.v1 as a service of any make would write it."""
    headers = [("ce_id", f"{key}-{number}"), ("ce_source", "/sample"), ("ce_type", "sample.ParcelPacked.v1")]
    value = f'{{"key": "{key}", "number": {number}}}'.encode()
    return Record(key.encode(), value, [(name, text.encode()) for name, text in headers])


@contextmanager
def load(key: str, write: Writer) -> Iterator[list[int]]:
    """Pack numbered parcels of several keys, one of each at a time, and tell how many, for a with block."""
    count, over = [0], threading.Event()

    def run() -> None:
        while not over.wait(INTERVAL_SECONDS):
            write.records(*(packed(f"{key}-{part}", count[0]) for part in range(KEYS)))
            count[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


def noted(columns: str, where: str = "true") -> list[tuple]:
    """Return columns of the parcels that were noted, in the order in which they were."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM parcels_parcel WHERE {where} ORDER BY id")
        return cursor.fetchall()


def wait_noted_by(*releases: str) -> None:
    """Wait until each of these releases has noted some more parcels."""
    before = Counter(noted("release"))
    eventually(lambda: all((Counter(noted("release")) - before)[(release,)] > KEYS for release in releases), 40)


def types_sent(log: Log) -> set[str]:
    """Return which versions of ParcelSent stand in the log."""
    return {header(record, "ce_type") for record in log.records()} - {"sample.ParcelPacked.v1"}


def test_three_releases_take_over_from_each_other_and_lose_double_and_reorder_nothing(start: Start, write, key, log):
    with load(key, write) as count:
        old = [start("before"), start("before")]
        wait_noted_by("before")
        migrate("between", "0002")
        wait_noted_by("before")

        new = [start("between")]
        stop(old[0])
        wait_noted_by("before", "between")
        new.append(start("between"))
        stop(old[1])
        assert types_sent(log) == {"sample.ParcelSent.v1"}

        last = [start("after")]
        stop(new[0])
        wait_noted_by("between", "after")
        last.append(start("after"))
        stop(new[1])
        assert types_sent(log) == {"sample.ParcelSent.v1", "sample.ParcelSent.v2"}
        migrate("after", "0003")
        wait_noted_by("after")

    eventually(lambda: len(noted("id")) >= KEYS * count[0], 60)
    assert not InboxRow.objects.exclude(state="done").exists()
    numbers = list(range(count[0]))
    for part in range(KEYS):
        assert noted("number, grams", f"key = '{key}-{part}'") == [(number, 1000 * number) for number in numbers]
