"""What looks like an outage, but is one event's own; and how the event that fails is found in its batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from kafka.errors import KafkaTimeoutError

from messaging.consumer import retry_parked
from messaging.consumer.bisection import joined, parts_of
from messaging.consumer.one_by_one import split
from messaging.models import ConsumerPosition, InboxRow
from tests.messaging.conftest import consumer_of
from tests.messaging.parked import SINGLE, drain, gate, is_parked
from tests.messaging.records import fetched
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_batch import note, singly
from tests.messaging.test_consumer import applied, is_applied, notes
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def delayed_attempts(settings):
    settings.MESSAGING = {
        **settings.MESSAGING,
        "RETRY_DELAYED": 3,
        "RETRY_PAUSE_SECONDS": 100.0,
        "RETRY_PAUSE_CAP_SECONDS": 100.0,
    }


def ends_in(state: str) -> Callable[..., None]:
    """Return a behaviour whose statement ends in this SQLSTATE."""

    def act(event: Any, context: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")

    return act


def asks_kafka(event: Any, context: Any) -> None:
    raise KafkaTimeoutError("no answer")


def loses_its_connection(event: Any, context: Any) -> None:
    handlers.cut_the_connection()


@pytest.mark.parametrize(
    "behaviour", [ends_in("53200"), ends_in("53400"), asks_kafka, loses_its_connection], ids=lambda each: each.__name__
)
def test_an_event_that_always_ends_like_an_outage_waits_alone(write, consumer, key, monkeypatch, behaviour):
    """The database takes writes, so after a few outages at one position they are the event's own."""
    monkeypatch.setitem(handlers.behaviours, "outage", behaviour)
    write.events(*notes(f"{key}-before", 3), NoteAdded(key=key, number=1, behaviour="outage"), partition=0)
    write.events(*notes(f"{key}-after", 3), partition=0)
    write.events(*notes(f"{key}-beside", 3), partition=1)

    eventually(lambda: all(is_applied(f"{key}-{each}", 3) for each in ("before", "after", "beside")), 60)
    row = InboxRow.objects.get(key=key, handler=SINGLE)

    assert (row.state, is_parked(key)) == ("waiting", True)
    assert 1 <= row.attempts <= 3
    assert applied(key) == []


@pytest.mark.parametrize(("state", "writes"), [("53200", False), ("53100", True)])
def test_no_attempt_counts_while_the_outage_is_real(write, consumer, key, monkeypatch, state, writes):
    """A full disk may take the trivial write of the probe, so it always is an outage."""
    monkeypatch.setattr("messaging.consumer.retries.takes_writes", lambda: writes)
    monkeypatch.setitem(handlers.behaviours, "outage", ends_in(state))
    write.events(NoteAdded(key=key, number=1, behaviour="outage"), *notes(f"{key}-after", 3), partition=0)

    time.sleep(5)
    assert not InboxRow.objects.filter(key__startswith=key).exists()

    monkeypatch.delitem(handlers.behaviours, "outage")
    eventually(lambda: is_applied(f"{key}-after", 3) and is_applied(key, 1), 30)


def test_outages_at_one_parked_key_count_as_its_attempts_in_the_end(group, monkeypatch):
    shut = gate(monkeypatch)
    singly(group, note("a", 1, "gated"))
    monkeypatch.setitem(handlers.behaviours, "gated", ends_in("53400"))
    attempts = []
    for _ in range(retry_parked.OUTAGES_AT_ONE_KEY + 1):
        retry_parked._failing.clear()  # the delays after an outage pass
        drain()
        attempts.append(InboxRow.objects.get(handler=SINGLE).attempts)

    assert attempts == [3, 3, 3, 4]
    monkeypatch.setitem(handlers.behaviours, "gated", shut)
    shut.open = True
    drain()
    assert applied("a") == [1]


def recorded(monkeypatch: Any) -> tuple[list[int], list[int]]:
    """Record the sizes of the batches that the consumer handles together, and the offsets of single records."""
    from messaging.consumer import loop

    together, alone, handle_batch, handle_one = [], [], loop.handle_batch, loop.handle_one

    def batch(group: str, batch: Any) -> None:
        together.append(sum(len(each.records) for each in batch))
        handle_batch(group, batch)

    def one(group: str, one: Any, **named: Any) -> None:
        alone.append(one.start)
        handle_one(group, one, **named)

    monkeypatch.setattr(loop, "handle_batch", batch)
    monkeypatch.setattr(loop, "handle_one", one)
    return together, alone


def start_with_one_bad_event(write: Any, group: str, key: str, behaviour: str) -> None:
    bad = NoteAdded(key=key, number=1, behaviour=behaviour)
    write.events(*notes(f"{key}-before", 40), bad, *notes(f"{key}-after", 87), partition=0)
    with running(consumer_of(group)):
        eventually(lambda: is_applied(f"{key}-before", 40) and is_applied(f"{key}-after", 87), 60)


def test_a_failed_batch_is_halved_until_the_bad_event_is_alone(write, group, key, monkeypatch):
    together, alone = recorded(monkeypatch)

    start_with_one_bad_event(write, group, key, "bug")

    assert len(alone) <= 2  # the bad one, and perhaps its neighbour
    assert len(together) <= 16, together
    assert applied(key) == []
    assert InboxRow.objects.get(key=key, handler=SINGLE).state == "exhausted"


def test_a_batch_that_failed_slowly_is_taken_one_by_one(write, group, key, monkeypatch):
    """A half would wait for the locked row as long again."""
    monkeypatch.setattr("messaging.consumer.bisection.SLOW_SECONDS", 0.1)
    together, alone = recorded(monkeypatch)

    def slow_bug(event: Any, context: Any) -> None:
        time.sleep(0.2)
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(handlers.behaviours, "slow bug", slow_bug)
    start_with_one_bad_event(write, group, key, "slow bug")

    assert len(alone) >= 87
    assert len(together) <= 3


def test_the_parts_of_a_batch_join_up(group):
    batch = [fetched(group, *notes_of(number), partition=number) for number in range(3)]
    pieces = list(split(batch))

    for size in range(1, len(pieces)):
        first, second = joined(pieces[:size]), joined(pieces[size:])
        assert sum(len(each.records) for each in (*first, *second)) == len(pieces)
        ends = {each.place: each.end for each in first}
        assert all(ends.get(each.place, each.start) == each.start for each in second)
    assert joined(pieces) == batch


def notes_of(partition: int) -> list[Any]:
    return [note(f"k{partition}", number) for number in range(partition + 1)]


def test_parts_keep_the_order_and_lose_nothing():
    for size in range(1, 9):
        parts = parts_of(range(size), took=0.0)
        assert [each for part in parts for each in part] == list(range(size))
        assert len(parts) == min(size, 2)
    assert parts_of(range(3), took=2.0) == [[0], [1], [2]]


def test_a_position_is_at_the_end_when_a_batch_was_taken_apart(write, group, key):
    start_with_one_bad_event(write, group, key, "dead")

    topic = django_settings.SAMPLE_TOPIC
    assert ConsumerPosition.objects.get(consumer_group=group, topic=topic, partition=0).stopped_reason is None
