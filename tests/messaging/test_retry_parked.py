"""Retries of parked keys beside a consumer, each other and unparking: no gap, no overtaking, and nobody held up."""

from __future__ import annotations

import re
import threading
from asyncio import CancelledError
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection, connections, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from messaging import parked_keys, queue_of
from messaging.consumer import retry_parked
from messaging.consumer.batch import handle_batch
from messaging.inbox import positions
from messaging.models import DeadLetterRow, InboxRow, ParkedKey
from messaging.outbox.publish import gather
from messaging.registry import handlers_of
from tests.messaging.parked import SINGLE, drain, gate, is_parked, make_due
from tests.messaging.records import fetched
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_batch import applied, note, singly, together
from tests.messaging.threads import at_once
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def delayed_attempts(settings):
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 3}


@pytest.fixture
def shut(monkeypatch):
    return gate(monkeypatch)


def test_two_drains_at_once_apply_each_event_once_and_in_order(group, shut):
    singly(group, *[note("a", number, "gated") for number in range(30)])
    singly(group, *[note("b", number, "gated") for number in range(30)])
    shut.open = True
    make_due()
    topic = django_settings.SAMPLE_TOPIC

    def work() -> int:
        return sum(retry_parked.retry_key(topic, key) for _ in range(20) for key in "ab")

    assert sum(at_once(work, work, work)) == 120

    for key in "ab":
        assert applied("single", key) == applied("batch", key) == list(range(30))
        retry_parked.retry_key(topic, key)
        assert not is_parked(key)


def test_events_that_arrive_during_the_drain_keep_their_place(group, shut):
    """The consumer goes on with the key while two retries work at its queue: no gap, no overtaking."""
    singly(group, *[note("a", number, "gated") for number in range(20)])
    shut.open = True
    make_due()
    done = threading.Event()

    def consume() -> None:
        try:
            for number in range(20, 120):
                handle_batch(group, [fetched(group, note("a", number))])
        finally:
            done.set()

    def work() -> None:
        while not done.is_set():
            retry_parked.retry_key(django_settings.SAMPLE_TOPIC, "a")

    assert at_once(consume, work, work) == [None, None, None]
    drain()
    assert applied("single", "a") == applied("batch", "a") == list(range(120))
    assert not is_parked("a")


def test_a_hand_back_waits_for_a_batch_that_is_about_to_queue(group, shut):
    """The batch has seen the key parked; were it handed back before the batch commits, the event would be stranded."""
    singly(group, note("a", 1, "gated"))
    shut.open = True
    topic, handed = django_settings.SAMPLE_TOPIC, []
    make_due()
    batch = fetched(group, note("a", 2))

    def hand_back_meanwhile() -> None:
        for _ in range(4):
            retry_parked.retry_key(topic, "a")
        handed.append(True)
        connections.close_all()

    thread = threading.Thread(target=hand_back_meanwhile)
    with transaction.atomic(), gather():
        positions.lock_and_compare(group, [batch])
        apply_now(group, batch)
        thread.start()
        thread.join(0.7)
        assert not handed
        positions.move(group, {batch.place: batch.end})
    thread.join(20)

    drain()
    assert applied("single", "a") == [1, 2]
    assert not is_parked("a")


def apply_now(group: str, batch) -> None:
    from messaging.consumer.batch import apply
    from messaging.inbox.decoding import read_all

    apply(group, read_all(batch.records, group, datetime.now(UTC)))


def test_a_long_drain_holds_up_nobodys_batch(group, shut):
    """The handler of a retry is at work at the key's head; a batch with the same key and others passes meanwhile."""
    singly(group, note("a", 1, "gated"))
    entered, leave = threading.Event(), threading.Event()
    shut.open = True

    def slow(event: NoteAdded, context: object) -> None:
        entered.set()
        assert leave.wait(20)

    handlers.behaviours["gated"], before = slow, handlers.behaviours["gated"]
    thread = threading.Thread(target=lambda: (drain(), connections.close_all()))
    thread.start()
    try:
        assert entered.wait(20)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
        together(group, note("a", 2), note("b", 1))
    finally:
        leave.set()
        thread.join(20)
        handlers.behaviours["gated"] = before
        connection.close()

    assert applied("single", "b") == [1]
    drain()
    assert applied("single", "a") == [1, 2]


def test_a_parked_key_drains_beside_a_live_consumer_and_a_relay(write, consumer, relay, key, shut, log):
    write.events(*[NoteAdded(key=key, number=number, behaviour="gated") for number in range(5)])
    eventually(lambda: is_parked(key))
    write.events(*[NoteAdded(key=key, number=number) for number in range(5, 60)])
    write.events(NoteAdded(key=f"{key}-other", number=1))
    eventually(lambda: applied("batch", f"{key}-other") == [1])
    assert applied("single", key) == []

    shut.open = True
    stop = threading.Event()
    thread = threading.Thread(target=lambda: (keep_draining(stop), connections.close_all()))
    thread.start()
    write.events(*[NoteAdded(key=key, number=number) for number in range(60, 200)])
    try:
        eventually(lambda: len(applied("batch", key)) == 200 and not is_parked(key))
    finally:
        stop.set()
        thread.join(20)
    assert applied("single", key) == applied("batch", key) == list(range(200))


def keep_draining(stop: threading.Event) -> None:
    while not stop.wait(0.05):
        drain()


def test_what_comes_by_a_new_partition_waits_behind_what_came_by_the_old_one(group, shut):
    """Partitions were added while the key was parked: its next events stand in another one, at low offsets."""
    singly(group, note("a", 1, "gated"), note("a", 2))
    handle_batch(group, [fetched(group, note("a", 3), note("a", 4), partition=1)])
    InboxRow.objects.filter(partition=0).update(offset=F("offset") + 1_000_000)
    topic = django_settings.SAMPLE_TOPIC
    [parked] = parked_keys()
    heads = [row.event_id for row in queue_of(topic, "a")]

    shut.open = True
    drain()
    drain()

    assert heads[0] == parked.event_id
    assert applied("single", "a") == applied("batch", "a") == [1, 2, 3, 4]
    assert not is_parked("a")


def test_a_key_has_one_drain_at_a_time(group, shut):
    """So the mark of another process can only be that of one which died."""
    singly(group, note("a", 1, "gated"))
    shut.open = True
    make_due()
    topic, began, go_on = django_settings.SAMPLE_TOPIC, threading.Event(), threading.Event()

    def hold() -> None:
        with retry_parked._key_lock(topic, "a"):
            began.set()
            go_on.wait(20)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    began.wait(20)
    try:
        assert retry_parked.retry_key(topic, "a") == 0
        assert ParkedKey.objects.get().marked_event is None
    finally:
        go_on.set()
        thread.join(20)
    assert drain() == 2


def fail_at_a(monkeypatch, error: BaseException) -> None:
    """Let the gated notes pass but those of the key a, at which the handler raises."""

    def act(event, context) -> None:
        if event.key == "a":
            raise error

    monkeypatch.setitem(handlers.behaviours, "gated", act)


def test_a_head_that_fails_like_an_outage_keeps_no_other_key_waiting(group, shut, monkeypatch):
    singly(group, note("a", 1, "gated"), note("b", 1, "gated"))
    fail_at_a(monkeypatch, OperationalError("could not connect to another server"))

    drain()
    drain()

    assert applied("single", "b") == [1]
    assert is_parked("a")


@pytest.mark.parametrize("error", [CancelledError, SystemExit])
def test_a_handler_that_wants_to_end_its_thread_has_failed(group, shut, monkeypatch, error):
    singly(group, note("a", 1, "gated"), note("b", 1, "gated"))
    fail_at_a(monkeypatch, error("out of here"))

    drain()

    assert applied("single", "b") == [1]
    assert InboxRow.objects.get(key="a", handler=SINGLE).state == "exhausted"


def test_what_waits_for_a_handler_that_only_newer_code_has_is_left_to_it(group, shut, monkeypatch):
    """Old and new code run side by side in a rolling deployment; later nobody has it, and an operator hears of that."""
    singly(group, note("a", 1, "gated"))
    monkeypatch.setattr(
        "messaging.inbox.decoding.handlers_of",
        lambda *about: [each for each in handlers_of(*about) if each.name != SINGLE],
    )

    drain()

    assert not DeadLetterRow.objects.exists()
    retry_parked._failing.clear()
    InboxRow.objects.update(received_at=F("received_at") - timedelta(hours=2))
    drain()
    assert DeadLetterRow.objects.get().reason == "unreadable"


def test_the_head_of_a_long_queue_is_found_without_sorting_the_queue(group):
    """A thousand steps of a retry would each sort a thousand rows."""
    topic = django_settings.SAMPLE_TOPIC
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO messaging_inbox (event_id, handler, topic, partition, "offset", key, state, attempts,'
            " received_at, raw) SELECT 'e' || n, %s, %s, 0, n, 'a', 'waiting', 0, now(), 'x'"
            " FROM generate_series(1, 5000) AS n",
            [SINGLE, topic],
        )
        cursor.execute(
            "INSERT INTO messaging_parked_key (topic, key, consumer_group, partition, parked_at)"
            " VALUES (%s, 'a', %s, 0, now())",
            [topic, group],
        )
        cursor.execute("ANALYZE messaging_inbox, messaging_parked_key")
        with CaptureQueriesContext(connection) as looked:
            assert retry_parked.head_of(topic, "a").entry.event_id == "e1"
        cursor.execute(f"EXPLAIN (ANALYZE) {looked[0]['sql']}")
        plan = [line for (line,) in cursor.fetchall()]

    scan = next(line for line in plan if "messaging_inbox" in line)
    assert float(re.search(r"actual .*rows=([0-9.]+)", scan)[1]) < 10, "\n".join(plan)
