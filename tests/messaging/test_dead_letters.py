"""Dead letters on Kafka: the record as it came, with what became of it, read by a client that is not ours."""

from __future__ import annotations

import random

import pytest
from django.conf import settings as django_settings

from messaging.kafka.records import unpacked
from messaging.kafka.topics import create_topics
from messaging.models import DeadLetterRow, OutboxRow
from tests.messaging.log import Log, header
from tests.messaging.records import Record
from tests.messaging.test_batch import applied, note, singly
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

TOPIC = "sample.dead-letters"


@pytest.fixture
def letters(reader) -> Log:
    create_topics()
    return Log(reader, TOPIC)


def test_a_dead_letter_is_told_with_its_original_key_value_and_headers(group, relay, letters):
    record = note("a", 1, "dead", event_id="e")
    record.headers.append(("foreign", b"\x00\xff"))

    singly(group, record)

    [letter] = eventually(letters.records)
    assert (letter.key, letter.value) == (b"a", record.value)
    assert [pair for pair in letter.headers if not pair[0].startswith("dl_")] == record.headers
    assert header(letter, "dl_reason") == "unknown_note"
    assert header(letter, "dl_error") == "nobody knows it"
    assert header(letter, "dl_handler") == "tests.on_note_added"
    assert header(letter, "dl_attempts") == "1"
    place = (header(letter, "dl_topic"), header(letter, "dl_partition"))
    assert place == (django_settings.SAMPLE_TOPIC, "0")
    eventually(lambda: not OutboxRow.objects.exists())


def unreadable(key: bytes | None, value: bytes | None) -> Record:
    headers: list[tuple[str, bytes | None]] = [("ce_type", b"sample.NoteAdded.v1"), ("x", b"\xff")]
    return Record(key=key, value=value, headers=headers, topic=django_settings.SAMPLE_TOPIC)


@pytest.mark.parametrize(("key", "value"), [(b"\xff\xfe", b"\x00random"), (None, b"no key"), (b"k", None)])
def test_what_can_not_be_read_is_told_byte_for_byte(group, relay, letters, key, value):
    singly(group, unreadable(key, value))

    [letter] = eventually(letters.records)
    assert (letter.key, letter.value) == (key, value)
    assert letter.headers[:2] == [("ce_type", b"sample.NoteAdded.v1"), ("x", b"\xff")]
    assert header(letter, "dl_handler") == "-"


def test_what_has_neither_key_nor_value_is_told_under_its_place(group, relay, letters):
    """Kafka's clients refuse a record without both: it would stand in the outbox for ever."""
    singly(group, unreadable(None, None))

    [letter] = eventually(letters.records)
    place = "/".join(header(letter, f"dl_{name}") for name in ("topic", "partition", "offset"))
    assert (letter.key, letter.value) == (place.encode(), None)
    eventually(lambda: not OutboxRow.objects.exists())


def test_a_letter_whose_headers_alone_are_too_large_is_told_without_them(group, relay, letters):
    headers = [("ce_type", b"sample.NoteAdded.v1"), *((f"h{number}", b"x" * 1000) for number in range(3000))]

    singly(group, Record(key=b"a", value=b"y", headers=headers, topic=django_settings.SAMPLE_TOPIC))

    [letter] = eventually(letters.records)
    assert (letter.key, letter.value, header(letter, "dl_truncated")) == (b"a", None, "true")
    assert {name[:3] for name, _ in letter.headers} == {"dl_"}
    eventually(lambda: not OutboxRow.objects.exists())


@pytest.mark.parametrize("headers", [[], [("ce_type", b"sample.NoteAdded.v1")]])
def test_a_key_that_no_index_could_hold_is_a_dead_letter_that_parks_nothing(group, headers):
    key = random.Random(1).randbytes(3000).hex().encode()

    singly(group, Record(key=key, headers=headers, topic=django_settings.SAMPLE_TOPIC), note("a", 1))

    letter = DeadLetterRow.objects.get()
    assert (letter.key, letter.reason) == ("", "undecodable")
    assert unpacked(letter.raw).key == key
    assert applied("single", "a") == [1]


def test_the_largest_record_of_a_topic_still_fits_as_a_dead_letter(group, relay, letters):
    room = 99_000  # beyond the largest event, of what a topic takes
    value = b"x" * (900_000 + room)

    singly(group, unreadable(b"big", value))

    [letter] = eventually(letters.records)
    assert letter.value == value
    assert unpacked(DeadLetterRow.objects.get().raw).value == value


def test_what_would_not_fit_is_told_without_its_value_and_kept_whole(group, relay, letters):
    value = b"x" * 1_100_000

    singly(group, unreadable(b"big", value))

    [letter] = eventually(letters.records)
    assert letter.value is None
    assert header(letter, "dl_truncated") == "true"
    assert unpacked(DeadLetterRow.objects.get().raw).value == value
