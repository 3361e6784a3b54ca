"""Marks: what follows an unclean end, and an event that kills process after process."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError

from messaging.consumer.retry_parked import retry_due
from messaging.inbox import crash_marks
from messaging.models import ConsumerPosition, DeadLetterRow, InboxRow, ParkedKey
from tests.messaging.conftest import consumer_of
from tests.messaging.parked import SINGLE, gate, make_due
from tests.messaging.patience import SOON_MISSED
from tests.messaging.process import process
from tests.messaging.records import record_of
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_batch import note, singly
from tests.messaging.test_consumer import applied, is_applied, notes
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

PLACE = 0


@pytest.fixture
def place():
    return (django_settings.SAMPLE_TOPIC, PLACE)


@pytest.fixture
def delayed_attempts(settings):
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 3}


def row(group: str) -> ConsumerPosition:
    return ConsumerPosition.objects.get(consumer_group=group, topic=django_settings.SAMPLE_TOPIC, partition=PLACE)


def test_a_partition_left_in_order_is_nobodys(group, place):
    assert crash_marks.take_ownership(group, [place], "one") == set()
    crash_marks.release(group, [place], "one")

    assert crash_marks.take_ownership(group, [place], "two") == set()


def test_a_name_that_was_left_tells_of_an_unclean_end(group, place):
    crash_marks.take_ownership(group, [place], "one")

    assert crash_marks.take_ownership(group, [place], "two") == {place}
    assert crash_marks.take_ownership(group, [place], "two") == set()


def test_who_lost_a_partition_does_not_take_the_new_owners_name_off(group, place):
    crash_marks.take_ownership(group, [place], "one")
    crash_marks.take_ownership(group, [place], "two")

    crash_marks.release(group, [place], "one")

    assert row(group).owner == "two"


def test_deaths_are_counted_by_process_and_not_by_try(group, place):
    assert [crash_marks.mark(group, place, 7, "one") for _ in range(3)] == [0, 0, 0]
    assert crash_marks.mark(group, place, 7, "two") == 1
    assert crash_marks.mark(group, place, 7, "three") == 2
    assert crash_marks.mark(group, place, 8, "four") == 0


def test_a_consumer_that_ends_in_order_leaves_no_name_and_no_mark(write, group, key):
    with running(consumer_of(group)) as consumer:
        write.events(*notes(key, 3))
        eventually(lambda: is_applied(key, 3))
        assert row(group).owner == consumer.worker

    assert set(ConsumerPosition.objects.values_list("owner", "marked_offset")) == {(None, None)}


def test_the_first_batch_after_an_unclean_end_is_taken_singly(write, group, key, monkeypatch):
    together: list[int] = []
    monkeypatch.setattr("messaging.consumer.loop.handle_batch", recorded(together))
    for partition in range(3):
        crash_marks.take_ownership(group, [(django_settings.SAMPLE_TOPIC, partition)], "died")
    write.events(*notes(key, 10), partition=PLACE)

    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, 10))
        assert together == []
        write.events(*[NoteAdded(key=key, number=number) for number in range(10, 20)], partition=PLACE)
        eventually(lambda: is_applied(key, 20))
    assert sum(together) == 10


def recorded(together: list[int]):
    from messaging.consumer.batch import handle_batch

    def handle(group: str, batch) -> None:
        together.append(sum(len(fetched.records) for fetched in batch))
        handle_batch(group, batch)

    return handle


def deaths_until_a_letter(role: str, group: str) -> int:
    """Start process after process, each of which the killer kills, until it is a dead letter; return how many died."""
    deaths = 0
    while not DeadLetterRow.objects.exists():
        with process(role, "kill in handler", group=group, DEATHS_ALLOWED=2, **SOON_MISSED) as child:
            eventually(lambda: child.has_ended() or DeadLetterRow.objects.exists(), 60)  # noqa: B023
            deaths += child.has_ended()
            assert deaths <= 5
    return deaths


@pytest.mark.usefixtures("impatient_broker")
def test_an_event_that_kills_process_after_process_becomes_a_dead_letter(write, group, key):
    """The handler kills its own process each time; nobody else's events are lost, and in the end it is parked."""
    write.events(NoteAdded(key=f"{key}-a", number=1), partition=PLACE)
    write.records(record_of(NoteAdded(key=key, number=2, behaviour="kill"), event_id="killer"), partition=PLACE)
    write.events(NoteAdded(key=key, number=3), *notes(f"{key}-b", 3), partition=PLACE)

    deaths = deaths_until_a_letter("consumer", group)
    letter = DeadLetterRow.objects.first()

    assert (letter.event_id, letter.reason, letter.attempts) == ("killer", "killed_the_process", 2)
    assert deaths in (2, 3)  # the first may have taken it within a batch, unmarked
    with process("consumer", "kill in handler", group=group, DEATHS_ALLOWED=2):
        eventually(lambda: is_applied(f"{key}-b", 3))
    assert applied(f"{key}-a") == [1]
    assert applied(key) == []
    assert ParkedKey.objects.get().key == key
    assert set(InboxRow.objects.filter(key=key).values_list("state", flat=True)) == {"dead", "waiting"}


def test_who_gives_up_an_event_that_another_died_over_leaves_the_mark(group, place):
    """It was not handled since: the next worker has to be as careful, and continue the count."""
    crash_marks.take_ownership(group, [place], "one")
    crash_marks.mark(group, place, 7, "one")
    crash_marks.take_ownership(group, [place], "two")

    crash_marks.release(group, [place], "two")

    assert crash_marks.take_ownership(group, [place], "three") == {place}
    assert crash_marks.mark(group, place, 7, "three") == 1


def test_a_careful_batch_that_is_cut_off_is_careful_to_its_end(write, group, key, monkeypatch):
    together: list[int] = []
    monkeypatch.setattr("messaging.consumer.loop.handle_batch", recorded(together))
    monkeypatch.setattr("messaging.consumer.loop.ONE_BY_ONE_SECONDS", 0.02)
    crash_marks.take_ownership(group, [(django_settings.SAMPLE_TOPIC, PLACE)], "died")
    write.events(*notes(key, 60), partition=PLACE)

    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, 60))

    assert together == []


def test_a_parked_event_that_kills_process_after_process_becomes_a_dead_letter(group, monkeypatch, delayed_attempts):
    """It is the drain that tries it; what stands behind it waits, and what stood before it has had its effect."""
    shut = gate(monkeypatch)
    singly(group, note("a", 1, "gated"), note("a", 2, "kill", event_id="killer"), note("a", 3))
    assert shut.calls
    make_due()

    deaths = deaths_until_a_letter("drain", group)
    letter = DeadLetterRow.objects.get()

    assert (letter.event_id, letter.handler, letter.reason) == ("killer", SINGLE, "killed_the_process")
    assert (deaths, letter.attempts, letter.type) == (2, 2, "sample.NoteAdded.v1")
    assert applied("a") == applied("a", "batch") == [1]
    assert set(InboxRow.objects.filter(key="a", raw__isnull=False).values_list("state", flat=True)) == {
        "dead",
        "waiting",
    }


def test_a_drain_that_fails_without_dying_takes_its_mark_back(group, monkeypatch, delayed_attempts):
    gate(monkeypatch)
    singly(group, note("a", 1, "gated"))
    make_due()
    seen = []

    def break_off(*_: object) -> None:
        seen.append(ParkedKey.objects.get().marked_event)
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr("messaging.consumer.retries.attempt", break_off)
    retry_due()

    assert seen and seen[0].endswith(SINGLE)
    assert ParkedKey.objects.get().marked_event is None


def test_attempts_that_fail_in_one_process_after_another_are_no_deaths(group, monkeypatch, settings):
    """Each worker of the service has its turn at the key; none of them dies."""
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 10, "DEATHS_ALLOWED": 2}
    gate(monkeypatch)
    singly(group, note("a", 1, "gated"))
    for name in "abcdef":
        monkeypatch.setattr("messaging.inbox.crash_marks.process_name", lambda name=name: name)
        make_due()
        retry_due()

    assert not DeadLetterRow.objects.exists()
    assert InboxRow.objects.get(handler=SINGLE).attempts == 3 + 6
