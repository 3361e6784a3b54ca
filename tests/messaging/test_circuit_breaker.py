"""The circuit breaker: a bad deploy pauses its handler instead of answering every event by a failure."""

from __future__ import annotations

import pytest

from messaging.errors import Paused
from messaging.models import DeadLetterRow, InboxRow, Pause
from messaging.testing import published
from tests.messaging.parked import BATCH, SINGLE
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded, NoteAnswered
from tests.messaging.test_batch import applied, note, position, singly
from tests.messaging.test_consumer import is_applied, notes, stop_reasons
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def five_events(settings):
    settings.MESSAGING = {**settings.MESSAGING, "FUSE_EVENTS": 5}


def bugs(count: int, *, keys: int | None = None, name: str = "k"):
    return [note(f"{name}{number % (keys or count)}", number, "bug") for number in range(count)]


def test_events_of_different_keys_that_fail_alike_pause_the_handler(group):
    singly(group, *bugs(5))

    pause = Pause.objects.get()
    assert (pause.name, pause.actor) == (SINGLE, "fuse")
    assert "ZeroDivisionError at sample/handlers.py:_bug" in pause.reason
    assert len(published(NoteAnswered)) == 5


def test_nothing_more_is_answered_once_the_fuse_has_blown(group):
    singly(group, *bugs(5))
    before = position(group)

    with pytest.raises(Paused, match="sample.events"):
        singly(group, note("other", 1))

    assert position(group) == before
    assert not InboxRow.objects.filter(key="other").exists()


@pytest.mark.parametrize("events", [bugs(4), bugs(12, keys=4), [*bugs(4), note("well", 1), *bugs(4, name="l")]])
def test_fewer_keys_or_a_success_between_leave_the_handler_alone(group, events):
    singly(group, *events)

    assert not Pause.objects.exists()


def test_failures_of_different_kinds_leave_the_handler_alone(group, monkeypatch):
    def another(event: NoteAdded, context: object) -> None:
        raise KeyError("another bug")

    monkeypatch.setitem(handlers.behaviours, "another", another)

    singly(group, *bugs(3), *[note(f"x{number}", number, "another") for number in range(3)])

    assert not Pause.objects.exists()


def test_dead_letters_of_a_handler_without_an_answer_blow_the_fuse_too(group, monkeypatch):
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(handlers.batch_behaviours, "fails", fail)

    singly(group, *[note(f"k{number}", number, "fails") for number in range(5)])

    assert Pause.objects.get().name == BATCH
    assert DeadLetterRow.objects.count() == 5


def test_events_that_handlers_declare_dead_never_blow_it(group):
    singly(group, *[note(f"k{number}", number, "dead") for number in range(10)])

    assert not Pause.objects.exists()


def test_a_bad_deploy_stops_a_live_consumer_which_goes_on_when_the_handler_is_mended(write, consumer, key, monkeypatch):
    write.events(
        *[NoteAdded(key=f"{key}-{number}", number=number, behaviour="bug") for number in range(20)], partition=0
    )
    eventually(lambda: Pause.objects.exists())
    write.events(*notes(f"{key}-good", 3), partition=1)
    answered = len(published(NoteAnswered))

    monkeypatch.setitem(handlers.behaviours, "bug", lambda event, context: None)
    assert answered == 5
    assert applied("single", f"{key}-good") == []
    Pause.objects.all().delete()

    eventually(lambda: is_applied(f"{key}-good", 3) and is_applied(f"{key}-19", 1))
    assert InboxRow.objects.filter(handler=SINGLE, state="exhausted").count() == 5
    assert stop_reasons(consumer.group) == []


def test_no_more_than_the_newest_rows_are_looked_at(group, monkeypatch):
    """A handler that is seldom called has failed last time long ago: to find that would read the whole inbox."""
    monkeypatch.setattr("messaging.parking.circuit_breaker.NEWEST", 3)

    singly(group, *bugs(5))

    assert not Pause.objects.exists()
