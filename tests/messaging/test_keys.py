"""A key that is a UUID is its value: another spelling of it is parked, compared and found as the same key."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command

from messaging import dead_letters, parked_events, parked_keys, unhandled
from messaging.errors import InvalidRecord
from messaging.event import Event, event
from messaging.ids import canonical_key, spellings
from messaging.inbox.decoding import Poison, read
from messaging.kafka.records import foreign_spellings, readable_key, received
from messaging.models import InboxRow, OutboxRow, ParkedKey
from messaging.outbox.publish import outbox_pending
from tests.messaging.parked import drain, gate
from tests.messaging.records import Record
from tests.messaging.replaying import EXECUTE, Replayer
from tests.messaging.rows import publish_notes
from tests.messaging.test_batch import applied, both, note, singly, together

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "01999999-abcd-7000-8000-00000000beef"
UPPER = KEY.upper()
ORDER_TOPIC = "sample.keyed-by-uuid"


@event("sample.ParcelLost.v1", topic=ORDER_TOPIC, key="parcel_id")
class ParcelLost(Event):
    """An event whose key is a UUID."""

    parcel_id: UUID


def spelled(key: str, number: int, behaviour: str = "") -> Record:
    """Return a note about KEY whose record has this key."""
    return replace(note(KEY, number, behaviour), key=key.encode())


@pytest.mark.parametrize("text", [KEY, UPPER, KEY.title(), f"{{{UPPER}}}", f"urn:uuid:{KEY}", f"URN:UUID:{UPPER}"])
def test_every_spelling_of_a_uuid_is_the_same_key(text):
    assert canonical_key(text) == KEY


@pytest.mark.parametrize(
    "text", ["ORDER-1", "", "K" * 36, f"{{{KEY}", f"{KEY}}}", f"{UPPER}-1", UUID(KEY).hex.upper(), "０" + UPPER[1:]]
)
def test_a_key_that_is_no_uuid_stays_as_it_is(text):
    assert canonical_key(text) == text
    assert spellings(text)[0] == text


def test_digits_without_groups_are_a_uuid_only_where_a_uuid_is_the_key():
    bare = UUID(KEY).hex.upper().encode()

    assert readable_key(Record(key=bare, topic=ORDER_TOPIC)) == KEY
    assert readable_key(Record(key=bare, topic=django_settings.SAMPLE_TOPIC)) == bare.decode()


@both
def test_the_events_of_a_key_wait_behind_it_however_it_is_spelled(group, handle, monkeypatch, settings):
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 5}
    shut = gate(monkeypatch)

    singly(group, spelled(UPPER, 1, "gated"))
    handle(group, spelled(KEY, 2), spelled(UPPER, 3))

    assert list(ParkedKey.objects.values_list("key", flat=True)) == [KEY]
    assert set(InboxRow.objects.values_list("key", flat=True)) == {KEY}
    shut.open = True
    drain()
    assert applied("single", KEY) == applied("batch", KEY) == [1, 2, 3]


def test_a_record_that_cannot_be_read_parks_the_key_and_not_its_spelling(group):
    together(group, replace(spelled(UPPER, 1), value=b"not JSON"), spelled(KEY, 2))

    assert list(ParkedKey.objects.values_list("key", flat=True)) == [KEY]
    assert applied("single", KEY) == []
    for key in (KEY, UPPER, f"urn:uuid:{KEY}"):
        assert unhandled(key)
        assert len(parked_events(key)) == 3
        assert [each.key for each in parked_keys(key=key)] == [KEY]
        assert [each.key for each in dead_letters(key=key)] == [KEY]


def test_a_key_that_an_older_release_parked_in_upper_case_is_found(group):
    together(group, replace(spelled(UPPER, 1), value=b"not JSON"))
    InboxRow.objects.update(key=UPPER)
    ParkedKey.objects.update(key=UPPER)

    assert unhandled(KEY)
    assert parked_events(KEY)
    assert [each.key for each in parked_keys(key=KEY)] == [UPPER]


@pytest.mark.parametrize("command", ["list_parked", "list_dead_letters"])
def test_an_operator_may_spell_a_key_otherwise(group, command):
    together(group, replace(spelled(KEY, 1), value=b"not JSON"))
    out = StringIO()

    call_command(command, "--key", UPPER, "--json", stdout=out)

    assert out.getvalue()


def test_a_replay_of_one_key_finds_its_every_spelling(group, reader, write):
    replay = Replayer(group, reader, write)
    replay.passed(spelled(UPPER, 1), spelled(KEY, 2), note("another", 3))

    assert replay(*EXECUTE, "--key", f"{{{KEY}}}") == {"sample.NoteAdded.v1": (4, 0, 0)}
    assert applied("single", KEY) == [1, 2]


def test_a_foreign_spelling_is_counted_and_logged_each_time_the_count_has_doubled(caplog: Any):
    foreign_spellings.clear()

    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            received(spelled(UPPER, 1), NOW)
            received(spelled(KEY, 1), NOW)

    assert foreign_spellings == {django_settings.SAMPLE_TOPIC: 5}
    assert [record.args[1] for record in caplog.records if record.args] == [1, 2, 4]


def test_a_key_that_is_no_uuid_is_compared_as_it_is():
    poison = read(replace(note("abc", 1), key=b"ABC"), str(django_settings.SAMPLE_GROUP), NOW)

    assert isinstance(poison, Poison)
    assert "its record has the key ABC" in poison.error


def test_an_event_is_published_under_the_canonical_key():
    publish_notes((UPPER, 1), (KEY, 2))

    assert list(OutboxRow.objects.values_list("key", flat=True)) == [KEY, KEY]
    assert outbox_pending(UPPER)


def test_a_key_without_a_value_is_refused_by_name():
    with pytest.raises(InvalidRecord, match="no key"):
        received(spelled("", 1), NOW)
