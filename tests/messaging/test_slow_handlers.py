"""A handler that is slow rather than stuck: the lost connection is its own fault, unless the process stood still."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import OperationalError, connection

from messaging.consumer.freeze_detector import FROZEN_SECONDS, Ticker
from messaging.models import InboxRow
from tests.messaging.parked import SINGLE, drain, is_parked
from tests.messaging.patience import idle_transactions_end_after, is_in_transaction
from tests.messaging.process import process
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_batch import applied, note, position, singly
from tests.messaging.test_consumer import is_applied, notes
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(settings, monkeypatch):
    """PostgreSQL ends what is idle for long after 0.2 s, and the library knows it."""
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 3}
    monkeypatch.setattr("messaging.consumer.retries.longest_idle", lambda: 0.2)
    monkeypatch.setitem(handlers.behaviours, "slow", idle_for_long)


def idle_for_long(event: NoteAdded, context: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '200ms'")
    time.sleep(0.4)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def state_of(event_id: str) -> tuple[str, int]:
    row = InboxRow.objects.get(event_id=event_id, handler=SINGLE)
    return (row.state, row.attempts)


def test_a_connection_lost_in_a_slow_attempt_counts_it_and_parks_the_key(group):
    before = position(group)

    singly(group, note("a", 1, "slow", event_id="e"), note("b", 1))

    assert state_of("e") == ("waiting", 1)
    assert "took too long" in InboxRow.objects.get(event_id="e", handler=SINGLE).error
    assert is_parked("a")
    assert applied("single", "b") == [1]
    assert position(group) == before + 2


def test_slow_attempts_are_used_up_like_others(group):
    singly(group, note("a", 1, "slow", event_id="e"))
    for _ in range(5):
        drain()

    assert state_of("e") == ("exhausted", 6)
    assert not is_parked("a")


def test_the_same_in_a_process_that_stood_still_is_an_outage(group, monkeypatch):
    monkeypatch.setattr(Ticker, "was_frozen_since", lambda self, begin: True)

    with pytest.raises(OperationalError):
        singly(group, note("a", 1, "slow", event_id="e"))

    assert not InboxRow.objects.exists()
    assert not is_parked("a")


def test_a_slow_event_in_a_batch_is_found_and_the_others_go_on(write, consumer, key):
    write.events(NoteAdded(key=key, number=1, behaviour="slow"), *notes(f"{key}-other", 3), partition=0)

    eventually(lambda: is_applied(f"{key}-other", 3))
    eventually(lambda: is_parked(key) or InboxRow.objects.filter(key=key, state="exhausted").exists())


def test_a_ticker_tells_a_freeze_from_hard_work():
    watch = Ticker()
    begin = time.monotonic()
    until = begin + FROZEN_SECONDS + 1
    while time.monotonic() < until:
        sum(range(1000))

    assert not watch.was_frozen_since(begin)


def test_a_frozen_worker_counts_no_attempt(write, group, key):
    """Frozen within its transaction for longer than PostgreSQL lets it be idle; when it wakes the event is applied."""
    settings = {"RETRY_DELAYED": 3}
    with idle_transactions_end_after(4), process("consumer", "freeze in handler", group=group, **settings) as child:
        write.events(NoteAdded(key=key, number=1, behaviour="freeze"), partition=0)
        eventually(child.is_frozen)
        eventually(is_in_transaction)
        eventually(lambda: not is_in_transaction())
        child.wake()
        eventually(lambda: is_applied(key, 1))
    assert set(InboxRow.objects.filter(key=key).values_list("state", "attempts")) == {("done", 1)}
