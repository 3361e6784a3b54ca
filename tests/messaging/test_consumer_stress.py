"""Consumers under stress: members that come and go, freeze inside a transaction, or take too long over one event."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from messaging.consumer.loop import Consumer
from messaging.models import InboxRow
from tests.messaging.conftest import consumer_of
from tests.messaging.patience import SOON_MISSED, idle_transactions_end_after
from tests.messaging.process import process
from tests.messaging.producing import Writer
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, is_applied, notes, stop_reasons
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("impatient_broker")]

COUNT = 20
PARTITIONS = 6  # of both topics together
ROUNDS = 5
#: A busy machine takes events singly, after a member died, more slowly than they are written: so far ahead they may be.
AHEAD = 60
LOCKED_OUT = "lock timeout"
REBALANCES = 6
#: A frozen member's partitions are free after the session timeout, its locks after the idle timeout.
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
            if self.count - len(applied(self.keys[0])) < AHEAD:
                self._write.events(*[NoteAdded(key=key, number=self.count) for key in self.keys])
                self.count += 1
        connection.close()

    def wait_applied(self) -> None:
        """Wait until what is written from now on for a while is applied: all partitions are at work."""
        count = self.count + ROUNDS
        eventually(lambda: self.count > count and all(len(applied(key)) > count for key in self.keys), HANDED_OVER)

    def all_applied(self) -> bool:
        return all(is_applied(key, self.count) for key in self.keys)


def test_rebalances_one_after_the_other_lose_double_and_reorder_nothing(write, group, key):
    traffic = Traffic(write, key)
    with running(consumer_of(group)) as staying:
        with traffic.flowing():
            for _ in range(REBALANCES):
                with running(consumer_of(group)) as passing:
                    eventually(lambda: works(passing) and works(staying), HANDED_OVER)  # noqa: B023
                    traffic.wait_applied()
                eventually(lambda: len(staying.assignment.at) == PARTITIONS, HANDED_OVER)
                traffic.wait_applied()
        eventually(traffic.all_applied, HANDED_OVER)

    for each in traffic.keys:
        assert_once_in_order(each, traffic.count)
    assert stop_reasons(group) == []


def works(consumer: Consumer) -> bool:
    """Tell whether the consumer has partitions and is in step with each."""
    return hasattr(consumer, "assignment") and 0 < len(consumer.assignment.at) < PARTITIONS


def test_members_killed_in_turn_under_load_lose_double_and_reorder_nothing(write, group, key):
    traffic = Traffic(write, key)
    with traffic.flowing():
        for _ in range(2):
            with process("consumer", group=group, **SOON_MISSED) as doomed:
                traffic.wait_applied()
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
    with (
        idle_transactions_end_after(4),
        process("consumer", "freeze before commit", group=group, **SOON_MISSED) as frozen,
    ):
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
    settings.MESSAGING = {**settings.MESSAGING, "MAX_POLL_INTERVAL_MS": 3000}
    slow = SlowAtFirst(caplog)
    monkeypatch.setitem(handlers.behaviours, "slow", slow)
    with running(consumer_of(group)), running(consumer_of(group)):
        write.events(*notes(key, 5), NoteAdded(key=key, number=5, behaviour="slow"), *notes(key, 10)[6:])
        eventually(lambda: is_applied(key, 10), HANDED_OVER)
        write.events(*notes(key, 20)[10:])
        eventually(lambda: is_applied(key, 20), HANDED_OVER)

    assert slow.calls >= 1
    assert LOCKED_OUT in caplog.text, "Kafka gave the partition to nobody else: the handler was not slow"
    assert_once_in_order(key, 20)
    assert stop_reasons(group) == []


class SlowAtFirst:
    """Outlasts the poll interval at its first call, until another member has wanted the partition in vain.

    It keeps the transaction busy meanwhile.
    """

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.calls = 0
        self._caplog = caplog

    def __call__(self, event: NoteAdded, context: Any) -> None:
        self.calls += 1
        until = time.monotonic() + (HANDED_OVER if self.calls == 1 else 0)
        while time.monotonic() < until and LOCKED_OUT not in self._caplog.text:
            time.sleep(0.5)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")


def assert_once_in_order(key: str, count: int) -> None:
    assert applied(key) == applied(key, "batch") == list(range(count))
    assert set(InboxRow.objects.filter(key=key).values_list("state", "attempts")) == {("done", 1)}
