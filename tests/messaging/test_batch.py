"""One batch in one transaction: positions compared, each event once for each handler, all of it or nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as django_settings

from messaging.consumer.batch import handle_batch
from messaging.consumer.one_by_one import handle_one, split
from messaging.errors import PositionMoved
from messaging.inbox import positions
from messaging.kafka.records import unpacked
from messaging.models import ConsumerPosition, DeadLetterRow, InboxRow, OutboxRow
from messaging.testing import published
from tests.messaging.records import Record, fetched, record_of
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded, NoteAnswered
from tests.messaging.sample.models import Applied
from tests.messaging.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def together(group: str, *records: Record) -> None:
    handle_batch(group, [fetched(group, *records)])


def singly(group: str, *records: Record) -> None:
    for one in split([fetched(group, *records)]):
        handle_one(group, one)


#: The consumer's two ways, which give the same result.
both = pytest.mark.parametrize("handle", [together, singly])


def note(key: str, number: int, behaviour: str = "", **changes: Any) -> Record:
    return record_of(NoteAdded(key=key, number=number, behaviour=behaviour), **changes)


def applied(handler: str, key: str) -> list[int]:
    rows = Applied.objects.filter(handler=handler, key=key).order_by("id")
    return list(rows.values_list("number", flat=True))


def position(group: str) -> int:
    place = (django_settings.SAMPLE_TOPIC, 0)
    return positions.read(group, [place])[place]


@both
def test_each_event_is_applied_once_by_each_handler_in_order(group, handle):
    handle(group, note("a", 1), note("b", 1), note("a", 2), note("a", 3))

    for handler in ("single", "batch"):
        assert applied(handler, "a") == [1, 2, 3]
        assert applied(handler, "b") == [1]
    assert InboxRow.objects.filter(state="done").count() == 8


@both
def test_what_handlers_publish_names_the_event_that_led_to_it(group, handle):
    handle(group, note("a", 1, event_id="cause-1"), note("b", 2, event_id="cause-2"))

    assert [(each.key, each.number) for each in published(NoteAnswered)] == [("a", 1), ("b", 2)]
    assert list(OutboxRow.objects.order_by("id").values_list("causation_id", flat=True)) == ["cause-1", "cause-2"]


@both
def test_the_position_moves_past_the_batch(group, handle):
    before = position(group)

    handle(group, note("a", 1), note("a", 2))

    assert position(group) == before + 2


@both
def test_an_event_that_comes_a_hundred_times_has_one_effect(group, handle):
    same = note("a", 1, event_id="the same")

    handle(group, *[same] * 50)
    handle(group, *[same] * 50)

    assert applied("single", "a") == applied("batch", "a") == [1]
    assert len(published(NoteAnswered)) == 1
    assert InboxRow.objects.count() == 2


@both
def test_types_that_nobody_here_wants_are_passed_over(group, handle):
    before = position(group)
    unknown = replace(note("a", 1), headers=[("ce_type", b"other.Thing.v1")], value=b"not even JSON", key=None)

    handle(group, unknown, note("a", 2))

    assert applied("single", "a") == [2]
    assert position(group) == before + 2


@both
def test_unknown_fields_are_ignored(group, handle):
    handle(group, replace(note("a", 1), value=b'{"key": "a", "number": 7, "colour": "red"}'))

    assert applied("single", "a") == [7]


@both
def test_an_event_declared_dead_by_the_batch_form_is_kept_whole(group, handle):
    handle(group, note("a", 1, "batch dead", event_id="dead"), note("a", 2))

    letter = DeadLetterRow.objects.get()
    assert (letter.event_id, letter.handler, letter.reason) == ("dead", "tests.on_note_added_batch", "batch says so")
    assert InboxRow.objects.get(event_id="dead", handler=letter.handler).state == "dead"
    assert unpacked(letter.raw).value == b'{"key":"a","number":1,"behaviour":"batch dead"}'
    assert applied("batch", "a") == [1, 2]


def test_the_batch_form_gets_its_events_in_key_order_and_one_call(group):
    together(group, note("b", 1), note("a", 1), note("b", 2), note("a", 2))

    by_key = [[each for each in call if each[0] == key] for key in "ab" for call in handlers.batches]
    assert [each for each in by_key if each] == [[("a", 1)], [("a", 2)], [("b", 1)], [("b", 2)]]
    assert [sorted(call) == call for call in handlers.batches] == [True, True]


def test_a_batch_is_all_or_nothing(group):
    before = position(group)

    with pytest.raises(ZeroDivisionError):
        together(group, note("a", 1), note("b", 1, "bug"))

    assert not Applied.objects.exists()
    assert not InboxRow.objects.exists()
    assert not OutboxRow.objects.exists()
    assert position(group) == before


@both
def test_a_batch_fetched_from_another_position_is_dropped(group, handle):
    stale = fetched(group, note("a", 1))
    ConsumerPosition.objects.filter(consumer_group=group).update(next_offset=stale.start + 5)

    with pytest.raises(PositionMoved):
        handle_batch(group, [stale]) if handle is together else handle_one(group, stale)

    assert not Applied.objects.exists()


def test_a_gap_that_compaction_left_is_no_reason_to_drop_a_batch(group):
    batch = fetched(group, note("a", 1))
    later = replace(batch, end=batch.end + 10, records=[replace(batch.records[0], offset=batch.start + 9)])

    handle_batch(group, [later])

    assert applied("single", "a") == [1]
    assert position(group) == batch.end + 10


@pytest.fixture
def slow_handler(monkeypatch) -> Iterator[threading.Event]:
    """Lets the first worker sit in its handler until the second one waits for the lock."""
    go_on = threading.Event()
    monkeypatch.setitem(handlers.behaviours, "slow", lambda event, context: go_on.wait(0.5))
    yield go_on


def test_of_two_workers_with_the_same_batch_one_is_told_that_the_position_moved(group, slow_handler):
    batch = fetched(group, note("a", 1, "slow"), note("a", 2))

    results = at_once(lambda: handle_batch(group, [batch]), lambda: handle_batch(group, [batch]))

    assert sorted(type(each).__name__ for each in results) == ["NoneType", "PositionMoved"]
    assert applied("single", "a") == applied("batch", "a") == [1, 2]


def test_two_workers_with_the_same_events_at_different_offsets_apply_them_once(group, slow_handler):
    """The log holds the events twice, as after a relay's crash, in partitions that different workers read."""
    same = [note("a", 1, "slow", event_id="one"), note("a", 2, event_id="two")]
    here, there = fetched(group, *same), fetched(group, *reversed(same), partition=1)

    results = at_once(lambda: handle_batch(group, [here]), lambda: handle_batch(group, [there]))

    assert results == [None, None]
    assert sorted(applied("single", "a")) == sorted(applied("batch", "a")) == [1, 2]
