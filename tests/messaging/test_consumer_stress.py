"""Consumers under stress: members that come and go, freeze inside a transaction, or take too long over one event."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from messaging.models import InboxRow
from tests.messaging.conftest import consumer_of
from tests.messaging.process import process
from tests.messaging.producing import Writer
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, is_applied, notes, stop_reasons
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 20
REBALANCES, STAY_SECONDS = 4, 3.0
#: A frozen member's partitions are free after the session timeout (6 s), its locks after the idle timeout (9 s).
HANDED_OVER = 60.0


class Traffic:
    """Writes a note of each key again and again, from a thread, for as long as the with block lasts."""

    def __init__(self, write: Writer, key: str) -> None:
        self.keys = [f"{key}-{part}" for part in range(5)]
        self.count = 0
        self._write = write
        self._over = threading.Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            self._write.events(*[NoteAdded(key=key, number=self.count) for key in self.keys])
            self.count += 1

    def all_applied(self) -> bool:
        return all(is_applied(key, self.count) for key in self.keys)


def test_rebalances_every_three_seconds_lose_double_and_reorder_nothing(write, group, key):
    traffic = Traffic(write, key)
    with running(consumer_of(group)):
        with traffic.flowing():
            for _ in range(REBALANCES):
                with running(consumer_of(group)):
                    time.sleep(STAY_SECONDS)
                time.sleep(STAY_SECONDS)
        eventually(traffic.all_applied, HANDED_OVER)

    for each in traffic.keys:
        assert_once_in_order(each, traffic.count)
    assert stop_reasons(group) == []


def test_members_killed_in_turn_under_load_lose_double_and_reorder_nothing(write, group, key):
    traffic = Traffic(write, key)
    with traffic.flowing():
        for _ in range(2):
            with process("consumer", group=group) as doomed:
                eventually(lambda: applied(traffic.keys[0])[-1:] >= [traffic.count - 3], HANDED_OVER)
                doomed.kill()
    with running(consumer_of(group)):
        eventually(traffic.all_applied, HANDED_OVER)

    for each in traffic.keys:
        assert_once_in_order(each, traffic.count)


@pytest.mark.parametrize("singly", [False, True], ids=["in-a-batch", "event-by-event"])
def test_a_worker_frozen_inside_its_transaction_counts_no_attempt_and_its_successor_goes_on(write, group, key, singly):
    write.events(*notes(key, COUNT), partition=0)
    if singly:  # the batch with this one in it is rolled back before the place where it would freeze
        write.events(NoteAdded(key=f"{key}-bug", number=0, behaviour="bug"), partition=0)
    with process("consumer", "freeze before commit", group=group) as frozen:
        eventually(frozen.is_frozen, HANDED_OVER)
        with running(consumer_of(group)):
            eventually(lambda: is_applied(key, COUNT), HANDED_OVER)
            frozen.wake()
            write.events(*notes(key, 2 * COUNT)[COUNT:], partition=0)
            eventually(lambda: is_applied(key, 2 * COUNT), HANDED_OVER)

    assert_once_in_order(key, 2 * COUNT)
    assert stop_reasons(group) == []


def test_a_handler_slower_than_the_longest_time_between_polls_has_one_effect(
    write, group, key, settings, monkeypatch, caplog
):
    settings.MESSAGING = {**settings.MESSAGING, "MAX_POLL_INTERVAL_MS": 6000}
    slow = SlowAtFirst()
    monkeypatch.setitem(handlers.behaviours, "slow", slow)
    with running(consumer_of(group)), running(consumer_of(group)):
        write.events(*notes(key, 5), NoteAdded(key=key, number=5, behaviour="slow"), *notes(key, 10)[6:])
        eventually(lambda: is_applied(key, 10), HANDED_OVER)
        write.events(*notes(key, 20)[10:])
        eventually(lambda: is_applied(key, 20), HANDED_OVER)

    assert slow.calls >= 1
    assert "lock timeout" in caplog.text, "Kafka gave the partition to nobody else: the handler was not slow"
    assert_once_in_order(key, 20)
    assert stop_reasons(group) == []


class SlowAtFirst:
    """Outlasts the poll interval at its first call, and keeps the transaction busy meanwhile."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, event: NoteAdded, context: Any) -> None:
        self.calls += 1
        for _ in range(4 if self.calls == 1 else 0):
            time.sleep(4)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")


def assert_once_in_order(key: str, count: int) -> None:
    assert applied(key) == applied(key, "batch") == list(range(count))
    assert set(InboxRow.objects.filter(key=key).values_list("state", "attempts")) == {("done", 1)}
