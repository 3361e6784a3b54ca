"""messaging.testing: what services' tests use instead of Kafka goes the consumer's way."""

from __future__ import annotations

import pytest

from messaging.inbox import rows
from messaging.models import InboxRow
from messaging.testing import (
    CrashPoint,
    assert_same_however_delivered,
    deliver,
    deliver_late,
    deliver_twice,
    deliver_with_a_crash,
    forget_published,
    published,
    record_of,
    states_in_every_order,
)
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded, NoteAnswered
from tests.messaging.sample.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("singly", [False, True])
def test_a_delivered_event_is_handled_and_its_answer_can_be_seen(singly):
    deliver(NoteAdded(key="a", number=1), singly=singly)

    assert published(NoteAnswered) == [NoteAnswered(key="a", number=1, result="applied")]
    assert Applied.objects.count() == 2


@pytest.mark.parametrize("singly", [False, True])
def test_a_record_delivered_twice_is_handled_once(singly):
    record = record_of(NoteAdded(key="a", number=1))

    deliver(record, record, singly=singly)
    deliver(record, singly=singly)

    assert Applied.objects.count() == 2


def test_a_failing_event_is_answered_for_when_it_is_delivered_singly():
    deliver(NoteAdded(key="a", number=1, behaviour="bug"), singly=True)

    assert [each.result for each in published(NoteAnswered)] == ["exhausted"]
    assert InboxRow.objects.filter(state="exhausted").count() == 1


def test_what_was_published_can_be_forgotten():
    deliver(NoteAdded(key="a", number=1))

    forget_published()

    assert published() == []


def applied() -> list[tuple[int, str]]:
    return list(Applied.objects.order_by("id").values_list("number", "handler"))


@pytest.mark.parametrize("singly", [False, True])
def test_events_delivered_twice_are_handled_once_each(singly):
    deliver_twice(NoteAdded(key="a", number=1), NoteAdded(key="b", number=2), singly=singly)

    assert sorted(applied()) == [(1, "batch"), (1, "single"), (2, "batch"), (2, "single")]


@pytest.mark.parametrize("at", CrashPoint)
@pytest.mark.parametrize("singly", [False, True])
def test_a_crash_leaves_nothing_half_done_and_nothing_doubled(at, singly):
    deliver_with_a_crash(NoteAdded(key="a", number=1), at=at, singly=singly)

    assert sorted(applied()) == [(1, "batch"), (1, "single")]
    assert [each.result for each in published(NoteAnswered)] == ["applied"]


@pytest.mark.parametrize(
    ("at", "calls"),
    [(CrashPoint.BEFORE_HANDLER, 1), (CrashPoint.AFTER_HANDLER, 2), (CrashPoint.BEFORE_COMMIT, 2)],
)
def test_a_crash_before_the_commit_lets_the_handler_be_called_again(at, calls):
    deliver_with_a_crash(NoteAdded(key="a", number=1), at=at)

    assert len(handlers.attempts[("a", 1)]) == calls


def test_a_crash_that_can_not_happen_is_an_error():
    record = record_of(NoteAdded(key="a", number=1))
    deliver(record)

    with pytest.raises(AssertionError, match=r"no handler was called with sample\.NoteAdded\.v1"):
        deliver_with_a_crash(record, at=CrashPoint.BEFORE_HANDLER)


def test_a_late_event_has_the_earlier_place_in_the_log():
    deliver_late(NoteAdded(key="a", number=1), after=[NoteAdded(key="b", number=2)])

    assert [number for number, handler in applied() if handler == "single"] == [2, 1]
    offsets = dict(InboxRow.objects.values_list("key", "offset"))
    assert offsets["a"] < offsets["b"]


def test_every_order_is_tried_on_the_database_as_it_was():
    deliver(NoteAdded(key="a", number=0))

    states = states_in_every_order(
        NoteAdded(key="a", number=1),
        NoteAdded(key="b", number=2),
        snapshot=lambda: [number for number, handler in applied() if handler == "single"],
    )

    assert states == {(0, 1): [0, 1, 2], (1, 0): [0, 2, 1]}
    assert len(applied()) == 2


def test_more_orders_than_anybody_waits_for_are_refused():
    with pytest.raises(ValueError, match="6 events have too many orders"):
        states_in_every_order(*(NoteAdded(key="a", number=number) for number in range(6)), snapshot=applied)


def test_the_end_is_the_same_however_events_are_delivered():
    events = [NoteAdded(key="a", number=1), NoteAdded(key="a", number=2), NoteAdded(key="b", number=1)]

    assert_same_however_delivered(*events, snapshot=lambda: sorted(applied()))

    assert len(applied()) == 6


def test_an_effect_that_is_doubled_is_named_with_the_way_that_doubled_it(monkeypatch):
    monkeypatch.setattr(rows, "insert_new", lambda entries: {entry.identity for entry in entries})

    with pytest.raises(AssertionError) as failure:
        assert_same_however_delivered(NoteAdded(key="a", number=1), snapshot=lambda: sorted(applied()))

    named = [line.split(":")[0] for line in str(failure.value).splitlines()[1:]]
    assert named == [
        "twice",
        "twice, event by event",
        "a crash after the commit, before Kafka knows",
        "event by event, a crash after the commit, before Kafka knows",
    ]


def test_an_effect_that_depends_on_the_crash_is_found():
    def calls() -> int:
        return len(handlers.attempts.pop(("a", 1)))

    with pytest.raises(AssertionError, match="a crash before the handler is called|a crash after the first call"):
        assert_same_however_delivered(NoteAdded(key="a", number=1), snapshot=calls)
