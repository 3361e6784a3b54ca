"""Event by event: only the one at fault is tried again; its outcome is written in the transaction of its attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, OperationalError, transaction

from messaging import DeadLetter, Retry, publish, subscribe
from messaging.consumer.one_by_one import handle_one, split
from messaging.error_kinds import Kind, kind_of
from messaging.errors import ConnectionLost
from messaging.inbox import positions as stored_positions
from messaging.kafka.records import unpacked
from messaging.models import DeadLetterRow, InboxRow, OutboxRow, ParkedKey
from messaging.registry import all_handlers, remove
from messaging.testing import published
from tests.messaging.records import Record, fetched
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded, NoteAnswered
from tests.messaging.sample.models import Applied
from tests.messaging.test_batch import applied, both, note, position, singly

pytestmark = pytest.mark.django_db(transaction=True)


def answers() -> list[tuple[int, str]]:
    return [(each.number, each.result) for each in published(NoteAnswered)]


def state_of(event_id: str, handler: str = "tests.on_note_added") -> tuple[str, int]:
    row = InboxRow.objects.get(event_id=event_id, handler=handler)
    return (row.state, row.attempts)


def test_a_transient_failure_is_tried_again_and_leaves_one_effect(group):
    singly(group, note("a", 1, "transient once", event_id="e"))

    assert handlers.attempts[("a", 1)] == [1, 2]
    assert applied("single", "a") == [1]
    assert answers() == [(1, "applied")]
    assert state_of("e") == ("done", 2)


@pytest.mark.parametrize("behaviour", ["transient", "bug"])
def test_used_up_attempts_give_the_failure_answer_in_the_transaction_that_marks_the_inbox(group, behaviour):
    singly(group, note("a", 1, behaviour, event_id="e"))

    assert handlers.attempts[("a", 1)] == [1, 2, 3]
    assert applied("single", "a") == []
    assert answers() == [(1, "exhausted")]
    assert state_of("e") == ("exhausted", 3)
    row = InboxRow.objects.get(event_id="e", handler="tests.on_note_added")
    assert row.fingerprint.startswith(("TransientError at ", "ZeroDivisionError at "))
    assert OutboxRow.objects.get().causation_id == "e"


def test_an_exhausted_event_is_not_tried_again_when_it_comes_again(group):
    exhausted = note("a", 1, "bug", event_id="e")
    singly(group, exhausted)
    handlers.attempts.clear()

    singly(group, exhausted)

    assert handlers.attempts == {}
    assert answers() == [(1, "exhausted")]


def test_only_the_event_at_fault_is_tried_again(group):
    singly(group, note("a", 1), note("b", 2, "bug"), note("a", 3))

    assert handlers.attempts == {("a", 1): [1], ("b", 2): [1, 2, 3], ("a", 3): [1]}
    assert applied("single", "a") == [1, 3]
    assert applied("batch", "b") == [2]


def test_what_a_failed_attempt_published_is_not_sent(group):
    singly(group, note("a", 1, "transient once"), note("a", 2, "bug"))

    assert answers() == [(1, "applied"), (2, "exhausted")]


def test_an_event_declared_dead_is_kept_with_its_reason_and_leaves_no_effect(group):
    singly(group, note("a", 1, "dead", event_id="e"))

    assert handlers.attempts[("a", 1)] == [1]
    assert applied("single", "a") == []
    assert answers() == []
    assert state_of("e") == ("dead", 1)
    letter = DeadLetterRow.objects.get()
    assert (letter.reason, letter.error, letter.key) == ("unknown_note", "nobody knows it", "a")
    assert not ParkedKey.objects.exists()


def test_a_dead_letter_with_headers_that_the_database_cannot_hold_is_kept_all_the_same(group):
    record = note("a", 1, "dead", event_id="e")
    record.headers.append(("foreign", b"\x00\xff"))

    singly(group, record)

    assert ("foreign", b"\x00\xff") in unpacked(DeadLetterRow.objects.get().raw).headers


def test_a_bug_in_a_handler_without_a_failure_answer_is_a_dead_letter_whose_key_waits(group, monkeypatch):
    monkeypatch.setitem(handlers.batch_behaviours, "batch bug", broken)
    before = position(group)

    singly(group, note("a", 1), note("a", 2, "batch bug", event_id="e"), note("a", 3, event_id="f"), note("b", 4))

    letter = DeadLetterRow.objects.get()
    assert (letter.event_id, letter.reason, letter.attempts) == ("e", "handler_failed", 3)
    assert letter.fingerprint == "ZeroDivisionError at messaging/test_single.py:broken"
    assert "broken" in letter.traceback
    assert position(group) == before + 4
    assert applied("batch", "a") == [1]
    assert applied("single", "a") == [1, 2]
    assert applied("batch", "b") == [4]
    assert state_of("f") == state_of("f", "tests.on_note_added_batch") == ("waiting", 0)
    assert list(ParkedKey.objects.values_list("key", flat=True)) == ["a"]


def broken() -> None:
    raise ZeroDivisionError("a bug in a handler that has no failure answer")


@both
@pytest.mark.parametrize("value", [b"", b"not JSON", b"[]", b'{"key": "a"}', b'{"key": "a", "number": "one"}', None])
def test_an_event_that_does_not_fit_its_schema_is_a_dead_letter_and_its_key_waits(group, handle, value):
    record = note("a", 1)
    bad = Record(key=record.key, headers=record.headers, value=value, topic=record.topic)

    handle(group, note("a", 0), bad, note("a", 2, event_id="f"), note("b", 3))

    letter = DeadLetterRow.objects.get()
    assert letter.reason == ("tombstone" if value is None else "schema_violation")
    assert unpacked(letter.raw).value == value
    assert InboxRow.objects.get(handler="-").state == "dead"
    assert applied("single", "a") == [0]
    assert applied("single", "b") == [3]
    assert state_of("f") == ("waiting", 0)


@both
def test_a_tombstone_in_a_compacted_topic_parks_nothing(group, handle, settings):
    settings.MESSAGING = {**settings.MESSAGING, "COMPACTED_TOPICS": [settings.SAMPLE_TOPIC]}
    of_an_event = note("a", 1)
    plain = Record(key=b"a", value=None, topic=of_an_event.topic)

    handle(group, plain, replace(of_an_event, value=None), note("a", 2))

    assert DeadLetterRow.objects.get().reason == "tombstone"
    assert not ParkedKey.objects.exists()
    assert not InboxRow.objects.filter(raw__isnull=False).exists()
    assert applied("single", "a") == applied("batch", "a") == [2]


@both
def test_a_version_that_nobody_knows_is_a_dead_letter(group, handle):
    record = note("a", 1)
    headers = [(name, b"sample.NoteAdded.v9" if name == "ce_type" else value) for name, value in record.headers]

    handle(group, Record(key=record.key, headers=headers, value=record.value, topic=record.topic))

    assert DeadLetterRow.objects.get().reason == "unknown_version"


@both
@pytest.mark.parametrize("key", [None, b"\xff", b"\x00"])
def test_a_record_without_a_readable_key_is_a_dead_letter_that_parks_nothing(group, handle, key):
    record = note("a", 1)

    handle(group, Record(key=key, headers=record.headers, value=record.value, topic=record.topic), note("b", 2))

    assert DeadLetterRow.objects.get().reason == "undecodable"
    assert not ParkedKey.objects.exists()
    assert applied("single", "b") == [2]


def test_an_outage_counts_no_attempt_and_is_no_fault_of_the_event(group, monkeypatch):
    monkeypatch.setitem(handlers.behaviours, "outage", once(handlers.cut_the_connection))
    record = note("a", 1, "outage", event_id="e")

    with pytest.raises(OperationalError) as caught:
        singly(group, record)
    assert kind_of(caught.value) is Kind.OUTAGE
    assert not InboxRow.objects.exists()

    singly(group, record)
    assert state_of("e") == ("done", 1)
    assert applied("single", "a") == [1]


def test_an_outage_that_the_handler_turned_into_another_error_is_still_an_outage(group, monkeypatch):
    def hides_it() -> None:
        try:
            handlers.cut_the_connection()
        except OperationalError as error:
            raise ValueError("something went wrong") from error

    monkeypatch.setitem(handlers.behaviours, "outage", once(hides_it))
    record = note("a", 1, "outage", event_id="e")

    with pytest.raises(ConnectionLost) as caught:
        singly(group, record)
    assert kind_of(caught.value) is Kind.OUTAGE

    singly(group, record)
    assert state_of("e") == ("done", 1)


def once(function: Any) -> Any:
    """Return a behaviour that runs the function at its first call alone."""
    calls: list[None] = []

    def behaviour(event: NoteAdded, context: Any) -> None:
        calls.append(None)
        if len(calls) == 1:
            function()

    return behaviour


@pytest.fixture
def own_handlers():
    """Takes away the handlers that a test subscribes."""
    before = all_handlers()
    yield
    for handler in all_handlers():
        if handler not in before:
            remove(handler)


def test_a_failed_statement_inside_a_handler_does_not_spoil_the_next_attempt(group, own_handlers):
    attempts: list[int] = []

    @subscribe(NoteAdded, replay="skip", name="sample.doubles", retries=Retry(immediate=2))
    def doubles(event: NoteAdded, context: Any) -> None:
        attempts.append(context.attempt)
        row = Applied.objects.create(key="d", number=context.attempt, handler="doubles")
        if context.attempt == 1:
            Applied.objects.bulk_create([Applied(id=row.id, key="d", number=0, handler="doubles")])

    singly(group, note("a", 1, event_id="e"))

    assert attempts == [1, 2]
    assert applied("doubles", "d") == [2]
    assert state_of("e", "sample.doubles") == ("done", 2)


def test_a_handler_may_catch_its_own_savepoints_failure_and_publish_something_else(group, own_handlers):
    @subscribe(NoteAdded, replay="skip", name="sample.careful")
    def careful(event: NoteAdded, context: Any) -> None:
        try:
            with transaction.atomic():
                publish(NoteAnswered(key="careful", number=1, result="hoped for"))
                raise IntegrityError("no")
        except IntegrityError:
            publish(NoteAnswered(key="careful", number=1, result="instead"))

    singly(group, note("a", 1))

    assert [each.result for each in published(NoteAnswered) if each.key == "careful"] == ["instead"]


def test_a_failure_answer_that_declares_the_event_dead_makes_a_dead_letter(group, own_handlers):
    def no_answer(event: NoteAdded, context: Any) -> None:
        Applied.objects.create(key="never", number=1, handler="no answer")
        raise DeadLetter("no_answer_exists")

    @subscribe(NoteAdded, replay="skip", name="sample.unanswerable", on_exhausted=no_answer)
    def unanswerable(event: NoteAdded, context: Any) -> None:
        raise ValueError("broken")

    singly(group, note("a", 1, event_id="e"))

    assert DeadLetterRow.objects.get(handler="sample.unanswerable").reason == "no_answer_exists"
    assert state_of("e", "sample.unanswerable")[0] == "dead"
    assert applied("no answer", "never") == []


def test_a_failure_answer_that_fails_makes_a_dead_letter_whose_key_waits(group, own_handlers):
    def broken_answer(event: NoteAdded, context: Any) -> None:
        Applied.objects.create(key="never", number=1, handler="broken answer")
        raise KeyError("a bug in the answer")

    @subscribe(NoteAdded, replay="skip", name="sample.broken", on_exhausted=broken_answer)
    def broken_handler(event: NoteAdded, context: Any) -> None:
        raise ValueError("broken")

    singly(group, note("a", 1, event_id="e"))

    letter = DeadLetterRow.objects.get()
    assert (letter.handler, letter.reason) == ("sample.broken", "failure_answer_failed")
    assert state_of("e", "sample.broken") == ("dead", 3)
    assert applied("broken answer", "never") == []
    assert ParkedKey.objects.exists()


def test_a_batch_is_cut_into_pieces_whose_positions_join_up(group):
    batch = fetched(group, note("a", 1), note("a", 2), note("a", 3))
    gap = [batch.records[0], batch.records[2]]

    [first, second] = split([batch.__class__(batch.topic, 0, batch.start, batch.end + 4, gap)])

    assert (first.start, first.end) == (batch.start, batch.start + 1)
    assert (second.start, second.end) == (batch.start + 1, batch.end + 4)
    handle_one(group, first)
    handle_one(group, second)
    place = (django_settings.SAMPLE_TOPIC, 0)
    assert stored_positions.read(group, [place]) == {place: batch.end + 4}


@pytest.mark.parametrize("stands_still", [True, False])
def test_a_statement_timeout_counts_only_while_the_database_takes_writes(group, monkeypatch, stands_still):
    monkeypatch.setattr("messaging.consumer.retries.takes_writes", lambda: not stands_still)
    event = note("a", 1, "statement timeout", event_id="e")

    if stands_still:
        with pytest.raises(ConnectionLost, match="the database hangs"):
            singly(group, event)
        assert not InboxRow.objects.exists()
    else:
        singly(group, event)
        assert state_of("e") == ("exhausted", 3)
