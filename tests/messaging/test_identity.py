"""An event is its source and its id (CloudEvents): two publishers may have one id, and neither loses an event by it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from messaging import retry
from messaging.consumer.batch import handle_batch
from messaging.consumer.retry_parked import retry_due
from messaging.inbox.identity import known
from messaging.inbox.rows import MAX_SOURCE, Entry
from messaging.models import DeadLetterRow, InboxRow, ParkedKey
from messaging.retention.cleanup import clean_inbox
from tests.messaging.parked import BATCH, SINGLE, drain, gate
from tests.messaging.records import Record, fetched
from tests.messaging.sample import handlers
from tests.messaging.test_batch import applied, both, note, singly, together
from tests.messaging.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

#: As code inserts that knows no source.
OF_AN_OLD_RELEASE = """
INSERT INTO messaging_inbox (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
VALUES (%s, %s, %s, 0, 0, %s, 'done', 1, now())
    ON CONFLICT (event_id, handler) DO NOTHING
"""


def of(source: str, key: str, number: int, behaviour: str = "", *, event_id: str = "1") -> Record:
    """Return a note of a source, with an id that every source may have."""
    record = note(key, number, behaviour, event_id=event_id)
    headers = [(name, source.encode() if name == "ce_source" else value) for name, value in record.headers]
    return replace(record, headers=headers)


def insert_as_before(key: str, event_id: str = "1") -> None:
    with connection.cursor() as cursor:
        for handler in (SINGLE, BATCH):
            cursor.execute(OF_AN_OLD_RELEASE, [event_id, handler, django_settings.SAMPLE_TOPIC, key])


def received_long_ago(**chosen: Any) -> None:
    InboxRow.objects.filter(**chosen).update(received_at="2020-01-01T00:00:00Z")


@both
def test_one_id_of_two_sources_is_two_events_in_one_batch(group, handle):
    handle(group, of("/sample", "a", 1), of("/abroad", "a", 2), of("/abroad", "b", 3, event_id="2"))

    for handler in ("single", "batch"):
        assert applied(handler, "a") == [1, 2]
        assert applied(handler, "b") == [3]


@both
def test_one_id_of_several_sources_is_several_events_each_of_them_once(group, handle):
    long = "/" + "x" * 2 * MAX_SOURCE
    records = [of(source, "a", n) for n, source in enumerate(["/abroad", "/sample", "/else", long, long + "y"])]

    for record in records:
        handle(group, record)
    handle(group, *records, *reversed(records))

    assert applied("single", "a") == applied("batch", "a") == [0, 1, 2, 3, 4]


def test_the_first_source_has_the_id_and_the_next_ones_row_names_its_source_too(group):
    together(group, of("/abroad", "a", 1))
    together(group, of("/sample", "a", 2))

    rows = InboxRow.objects.filter(handler=SINGLE).order_by("id")
    assert list(rows.values_list("event_id", "source", "ce_id")) == [
        ("1", "/abroad", None),
        ("1 from /sample", "", "1"),
    ]


@pytest.mark.parametrize("source", ["/sample", "/abroad"])
@both
def test_a_row_of_an_older_release_is_the_same_event_whatever_its_source(group, handle, source):
    insert_as_before("a")

    handle(group, of(source, "a", 1))

    assert applied("single", "a") == applied("batch", "a") == []


def test_a_row_of_an_older_release_with_another_key_is_another_event(group):
    insert_as_before("another")

    together(group, of("/abroad", "a", 1), of("/abroad", "a", 1))
    together(group, of("/abroad", "a", 1))

    assert applied("single", "a") == applied("batch", "a") == [1]


def test_an_older_release_beside_us_takes_no_event_again(group):
    together(group, of("/abroad", "a", 1))

    insert_as_before("a")

    assert InboxRow.objects.count() == 2


def test_of_two_workers_with_one_id_of_two_sources_each_handles_its_own(group, monkeypatch):
    monkeypatch.setitem(handlers.behaviours, "slow", lambda event, context: time.sleep(0.3))
    here = fetched(group, of("/sample", "a", 1, "slow"))
    there = fetched(group, of("/abroad", "b", 2, "slow"), partition=1)

    assert at_once(lambda: handle_batch(group, [here]), lambda: handle_batch(group, [there])) == [None, None]

    assert applied("single", "a") == applied("batch", "a") == [1]
    assert applied("single", "b") == applied("batch", "b") == [2]


def test_events_of_one_id_that_wait_are_retried_each_with_its_own_record(group, monkeypatch, settings):
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 5}
    shut = gate(monkeypatch)

    singly(group, of("/sample", "a", 1, "gated"), of("/abroad", "a", 2, "gated"))
    assert InboxRow.objects.filter(state="waiting", handler=SINGLE).count() == 2
    shut.open = True
    drain()

    assert applied("single", "a") == [1, 2]
    assert not ParkedKey.objects.exists()


def test_two_dead_letters_of_one_id_are_kept_and_retried_apart(group, monkeypatch):
    singly(group, of("/sample", "a", 1, "dead"), of("/abroad", "b", 2, "dead"))

    letters = DeadLetterRow.objects.order_by("id")
    assert [(each.event_id, each.key) for each in letters] == [("1", "a"), ("1 from /abroad", "b")]
    monkeypatch.delitem(handlers.behaviours, "dead")
    [result] = retry([letters[1].target], actor="me", reason="fixed")
    assert result.outcome == "done"
    retry_due()
    assert (applied("single", "a"), applied("single", "b")) == ([], [2])


@both
def test_the_batch_form_declares_the_right_one_of_two_dead(group, handle):
    handle(group, of("/sample", "a", 1), of("/abroad", "b", 2, "batch dead"))

    assert [(each.event_id, each.key) for each in DeadLetterRow.objects.all()] == [("1 from /abroad", "b")]


def test_a_letter_is_of_the_later_event_once_the_inbox_has_forgotten_the_first(group):
    singly(group, of("/sample", "a", 1, "dead"))
    InboxRow.objects.all().delete()

    singly(group, of("/abroad", "b", 2, "dead"))

    letter = DeadLetterRow.objects.get()
    assert letter.key == "b"
    assert b'"number":2' in bytes(letter.raw)


def test_a_row_is_kept_while_another_sources_event_has_a_row_beside_it(group):
    second = of("/abroad", "a", 2)
    together(group, of("/sample", "a", 1), note("a", 0))
    together(group, second)
    received_long_ago(ce_id=None)

    assert clean_inbox() == 2  # both of the third note
    together(group, second)
    assert applied("single", "a") == [1, 0, 2]

    received_long_ago()
    assert clean_inbox() + clean_inbox() == 4


def test_a_record_that_nobody_can_read_at_the_place_of_an_older_one_is_another(group):
    """A topic that was made again under its name begins at the same offsets."""
    bad = fetched(group, replace(note("a", 1), value=b"not JSON"))
    handle_batch(group, [bad])
    back = replace(bad, start=bad.end, records=[replace(bad.records[0], value=b"not JSON either")])

    handle_batch(group, [back])

    first, second = DeadLetterRow.objects.order_by("id")
    assert second.event_id.startswith(f"{first.event_id} from ")


def test_replay_knows_each_sources_event():
    topic = django_settings.SAMPLE_TOPIC
    insert_as_before("a", "old")
    entries = [Entry(event_id, SINGLE, topic, 0, 0, "a", source) for event_id in ("old", "1") for source in ("", "/b")]

    assert known(entries) == set(entries[:2])
