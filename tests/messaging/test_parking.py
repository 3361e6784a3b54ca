"""Parked keys, rule by rule: a failing key waits alone, in order, and comes back without a gap or an overtaking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection, transaction

from messaging.consumer import retry_parked
from messaging.consumer.one_by_one import handle_one, split
from messaging.consumer.retry_parked import due, retry_due
from messaging.models import DeadLetterRow, InboxRow, ParkedKey
from messaging.parking.keys import ToPark, lock_exclusively, park
from messaging.testing import published
from tests.messaging.parked import BATCH, SINGLE, drain, gate, is_parked, queue_of
from tests.messaging.records import fetched
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAnswered
from tests.messaging.test_batch import applied, both, note, position, singly, together
from tests.messaging.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def delayed_attempts(settings):
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 3}


@pytest.fixture
def shut(monkeypatch):
    return gate(monkeypatch)


def answered(key: str) -> list[tuple[int, str]]:
    return [(each.number, each.result) for each in published(NoteAnswered) if each.key == key]


def test_a_transient_failure_parks_its_key_after_the_immediate_attempts(group, shut):
    before = position(group)
    now = datetime.now(UTC)

    singly(group, note("a", 1, "gated", event_id="e"))

    row = InboxRow.objects.get(event_id="e", handler=SINGLE)
    assert (row.state, row.attempts, row.fingerprint) == (
        "waiting",
        3,
        "TransientError at messaging/parked.py:__call__",
    )
    assert "the gate is shut" in row.error
    assert now < row.next_attempt_at < now + timedelta(seconds=5)
    assert is_parked("a")
    assert position(group) == before + 1
    assert applied("single", "a") == []
    assert answered("a") == []


def test_attempts_that_take_long_park_the_key_sooner(group, shut, monkeypatch):
    monkeypatch.setattr("messaging.consumer.retries.AT_ONCE_SECONDS", 0.0)

    singly(group, note("a", 1, "gated", event_id="e"), note("b", 2, "bug", event_id="f"))

    assert InboxRow.objects.get(event_id="e", handler=SINGLE).attempts == 1
    assert is_parked("a")
    assert handlers.attempts[("b", 2)] == [1, 2, 3]


@both
def test_later_events_queue_behind_it_and_other_keys_go_on(group, shut, handle):
    singly(group, note("a", 1, "gated"))

    handle(group, note("a", 2), note("b", 1), note("a", 3))

    assert applied("single", "b") == applied("batch", "b") == [1]
    assert applied("single", "a") == applied("batch", "a") == []
    assert [state for _, _, state in queue_of("a")] == ["waiting"] * 6


def test_the_handlers_after_the_one_that_failed_wait_too(group, shut):
    singly(group, note("a", 1, "gated"))

    assert {(handler, state) for _, handler, state in queue_of("a")} == {(SINGLE, "waiting"), (BATCH, "waiting")}
    assert InboxRow.objects.get(handler=BATCH).attempts == 0


def test_a_success_drains_the_queue_in_order_and_hands_the_key_back(group, shut):
    singly(group, note("a", 1, "gated"), note("a", 2), note("a", 3))
    shut.open = True

    assert drain() == 6

    assert applied("single", "a") == applied("batch", "a") == [1, 2, 3]
    assert answered("a") == [(1, "applied"), (2, "applied"), (3, "applied")]
    assert not is_parked("a")
    assert not InboxRow.objects.exclude(state="done", raw=None).exists()
    assert InboxRow.objects.get(handler=SINGLE, key="a", attempts=4)


def test_what_comes_after_the_hand_back_takes_the_live_path(group, shut):
    singly(group, note("a", 1, "gated"))
    shut.open = True
    drain()

    together(group, note("a", 2))

    assert applied("single", "a") == [1, 2]
    assert queue_of("a") == []


def test_an_event_that_is_not_due_is_left_alone(group, shut):
    singly(group, note("a", 1, "gated"))
    InboxRow.objects.filter(state="waiting").update(next_attempt_at=datetime.now(UTC) + timedelta(hours=1))
    calls = len(shut.calls)

    assert due() == []
    assert retry_due() == retry_parked.retry_key(django_settings.SAMPLE_TOPIC, "a") == 0
    assert len(shut.calls) == calls


def test_delayed_attempts_are_stored_and_back_off_up_to_a_cap(group, shut, settings):
    settings.MESSAGING = {
        **settings.MESSAGING,
        "RETRY_DELAYED": 6,
        "RETRY_PAUSE_SECONDS": 10,
        "RETRY_PAUSE_CAP_SECONDS": 40,
    }
    singly(group, note("a", 1, "gated", event_id="e"))
    pauses = []
    for _ in range(5):
        pauses.append(waits("e"))
        drain()

    bounds = [(5, 10), (10, 20), (20, 40), (20, 40), (20, 40)]
    assert [low - 1 <= pause <= high for (low, high), pause in zip(bounds, pauses, strict=True)] == [True] * 5
    assert [attempt for _, _, attempt in shut.calls] == list(range(1, 9))
    assert InboxRow.objects.get(event_id="e", handler=SINGLE).attempts == 8


def waits(event_id: str) -> float:
    row = InboxRow.objects.get(event_id=event_id, handler=SINGLE)
    return (row.next_attempt_at - datetime.now(UTC)).total_seconds()


def test_used_up_attempts_give_the_failure_answer_and_the_queue_goes_on(group, shut):
    singly(group, note("a", 1, "gated", event_id="e"), note("a", 2))

    for _ in range(3):
        drain()

    assert InboxRow.objects.get(event_id="e", handler=SINGLE).state == "exhausted"
    assert InboxRow.objects.get(event_id="e", handler=SINGLE).attempts == 6
    assert answered("a") == [(1, "exhausted"), (2, "applied")]
    assert applied("single", "a") == [2]
    assert applied("batch", "a") == [1, 2]
    assert not is_parked("a")


def test_used_up_attempts_without_a_failure_answer_leave_a_dead_letter_at_the_head(group, monkeypatch):
    from messaging.errors import TransientError

    def fail() -> None:
        raise TransientError("again and again")

    monkeypatch.setitem(handlers.batch_behaviours, "fails", fail)
    singly(group, note("a", 1, "fails", event_id="e"), note("a", 2))
    for _ in range(5):
        drain()

    letter = DeadLetterRow.objects.get()
    assert (letter.event_id, letter.handler, letter.reason, letter.attempts) == ("e", BATCH, "retries_exhausted", 6)
    assert [state for _, _, state in queue_of("a")] == ["dead", "waiting", "waiting"]
    assert is_parked("a")
    assert applied("single", "a") == [1]


def test_a_bug_behind_a_parked_key_has_the_immediate_attempts_only(group, shut, monkeypatch):
    singly(group, note("a", 1, "gated"), note("a", 2, "bug", event_id="f"))
    shut.open = True

    drain()

    assert InboxRow.objects.get(event_id="f", handler=SINGLE).state == "exhausted"
    assert handlers.attempts[("a", 2)] == [1, 2, 3]


def test_an_outage_in_the_drain_counts_no_attempt(group, shut):
    singly(group, note("a", 1, "gated", event_id="e"))
    shut.error = lambda: OperationalError("server closed the connection unexpectedly")

    assert drain() == 0

    row = InboxRow.objects.get(event_id="e", handler=SINGLE)
    assert (row.state, row.attempts) == ("waiting", 3)
    shut.open = True
    retry_parked._failing.clear()  # for a few seconds it lets the other keys go first
    drain()
    assert applied("single", "a") == [1]


@both
def test_poison_parks_its_key_and_only_its_key(group, handle):
    bad = note("a", 1)
    handle(group, note("a", 0), poisoned(bad), note("a", 2), note("b", 1))

    assert applied("single", "a") == [0]
    assert applied("single", "b") == [1]
    assert [state for _, _, state in queue_of("a")] == ["dead", "waiting", "waiting"]
    assert drain() == 0
    assert is_parked("a")


def poisoned(record):
    from dataclasses import replace

    return replace(record, value=b"no JSON")


def test_the_sweep_hands_back_a_key_whose_queue_is_empty(group):
    with transaction.atomic():
        park(group, [ToPark(django_settings.SAMPLE_TOPIC, "empty", 0)])

    retry_due()

    assert not is_parked("empty")


def test_a_drain_passes_over_a_key_that_another_one_has_in_hand(group, shut):
    singly(group, note("a", 1, "gated"))
    shut.open = True
    with transaction.atomic():
        assert lock_exclusively(django_settings.SAMPLE_TOPIC, "a")
        assert at_once(drain)[0] == 0
    assert drain() == 2


def test_only_new_events_are_parked_when_a_record_comes_again(group, shut):
    again = note("a", 1, "gated", event_id="e")
    singly(group, again)
    shut.open = True
    drain()

    singly(group, again)

    assert applied("single", "a") == [1]
    assert not is_parked("a")


def test_the_same_key_in_two_partitions_is_parked_once(group, shut):
    here, there = fetched(group, note("a", 1, "gated")), fetched(group, note("a", 2, "gated"), partition=1)

    for one in (here, there):
        for piece in split([one]):
            handle_one(group, piece)

    assert ParkedKey.objects.count() == 1
    shut.open = True
    drain()
    assert sorted(applied("single", "a")) == [1, 2]


def test_a_parked_topic_that_is_paused_rests(group, shut):
    from messaging.parking import pauses

    singly(group, note("a", 1, "gated"))
    shut.open = True
    pauses.insert(SINGLE, reason="a test", actor="me")

    assert drain() == retry_parked.retry_key(django_settings.SAMPLE_TOPIC, "a") == 0
    pauses.delete(SINGLE)
    assert drain() == 2


def test_a_queued_event_that_todays_code_cannot_read_becomes_a_dead_letter(group, shut):
    singly(group, note("a", 1, "gated", event_id="e"))
    connection.cursor().execute("UPDATE messaging_inbox SET handler = 'gone' WHERE handler = %s", [SINGLE])
    InboxRow.objects.update(received_at=datetime.now(UTC) - timedelta(hours=2))

    drain()

    letter = DeadLetterRow.objects.get()
    assert (letter.handler, letter.reason) == ("gone", "unreadable")
    assert is_parked("a")
