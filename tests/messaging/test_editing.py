"""Edit and retry: another value or header for a dead letter; never another event, never one that can't be read."""

from __future__ import annotations

import json

import pytest

from messaging import ReasonMissing, Result, edit_and_retry, retry
from messaging.kafka.records import unpacked
from messaging.models import DeadLetterRow, InboxRow, OperatorAction
from tests.messaging.operating import (
    BATCH,
    SINGLE,
    WHO,
    broken,
    drain,
    goes_on,
    note,
    of_type,
    transient,
    undecodable,
    with_patient_retries,
)
from tests.messaging.records import Record
from tests.messaging.sample import handlers
from tests.messaging.test_batch import applied, singly

pytestmark = pytest.mark.django_db(transaction=True)


def value_of(key: str = "a", number: object = 1) -> bytes:
    return json.dumps({"key": key, "number": number, "behaviour": "seen"}).encode()


@pytest.fixture
def stuck(group) -> tuple[str, str]:
    """The target of a record of the key `a` that can't be read; another one waits behind it."""
    singly(group, broken(note("a", 1, event_id="e")), note("a", 2))
    return undecodable("a")


def assert_refused(result: Result, why: str) -> None:
    assert result.outcome == "refused"
    assert why in result.detail
    drain()
    assert applied("single", "a") == []
    assert DeadLetterRow.objects.get().resolved_at is None
    assert DeadLetterRow.objects.get().edited is None


def test_another_value_takes_effect_in_the_place_of_the_original(stuck):
    result = edit_and_retry(stuck, value=value_of(number=7), **WHO)
    drain()

    assert result.outcome == "done"
    assert applied("single", "a") == applied("batch", "a") == [7, 2]
    assert goes_on("a")
    assert InboxRow.objects.get(event_id="e", handler=SINGLE).state == "done"


def test_the_original_is_kept_beside_what_was_made_of_it(stuck):
    edit_and_retry(stuck, value=value_of(), **WHO)
    drain()

    letter = DeadLetterRow.objects.get()
    assert unpacked(letter.raw).value == b"not JSON"
    assert unpacked(letter.edited).value == value_of()
    assert letter.resolution == "edited"
    assert OperatorAction.objects.get().verb == "edit and retry"


def test_headers_are_edited_beside_the_value_and_the_others_stay(stuck, monkeypatch):
    seen: list[dict[str, str]] = []
    monkeypatch.setitem(handlers.behaviours, "seen", lambda _, context: seen.append(dict(context.headers)))

    edit_and_retry(stuck, value=value_of(), headers={"traceparent": "00-한"}, **WHO)
    drain()

    assert [(each["traceparent"], each["ce_id"]) for each in seen] == [("00-한", "e")]


def test_a_wrong_type_is_mended_by_a_header_alone(group):
    singly(group, of_type(note("a", 1, event_id="e"), b"sample.NoteAdded.v9"), note("a", 2))

    edit_and_retry(undecodable("a"), headers={"ce_type": "sample.NoteAdded.v1"}, **WHO)
    drain()

    assert applied("single", "a") == [1, 2]


def test_a_record_that_came_without_an_id_may_be_given_one(group):
    record = note("a", 1)
    nameless = [(name, value) for name, value in record.headers if name != "ce_id"]
    singly(group, Record(key=record.key, headers=nameless, value=record.value, topic=record.topic), note("a", 2))

    edit_and_retry(undecodable("a"), headers={"ce_id": "given"}, **WHO)
    drain()

    assert applied("single", "a") == [1, 2]
    assert InboxRow.objects.get(event_id="given", handler=SINGLE).state == "done"


@pytest.mark.parametrize("value", [b"", b"still not JSON", b'{"key": "a"}', value_of(number="one"), b"\xff"])
def test_a_value_that_does_not_fit_the_schema_is_refused(stuck, value):
    assert_refused(edit_and_retry(stuck, value=value, **WHO), "cannot be decoded")


def test_another_key_is_refused(stuck):
    assert_refused(edit_and_retry(stuck, value=value_of(key="b"), **WHO), "about b")


def test_another_id_is_refused(stuck):
    result = edit_and_retry(stuck, value=value_of(), headers={"ce_id": "f"}, **WHO)

    assert_refused(result, "ce_id e cannot be changed")


def test_an_edit_that_edits_nothing_is_refused(stuck):
    assert_refused(edit_and_retry(stuck, **WHO), "nothing was edited")


def test_a_header_that_is_no_text_is_refused(stuck):
    assert_refused(edit_and_retry(stuck, value=value_of(), headers={"ce_type": "\udcff"}, **WHO), "not UTF-8")


def test_an_event_that_only_waits_is_not_edited_since_no_original_is_kept(group, settings, monkeypatch):
    with_patient_retries(settings)
    monkeypatch.setitem(handlers.behaviours, "failing", transient())
    singly(group, note("a", 1, "failing", event_id="e"))

    assert edit_and_retry(("e", SINGLE), value=value_of(), **WHO).outcome == "refused"


def test_an_edited_event_that_dies_again_is_edited_again_from_what_it_had_become(group, monkeypatch):
    monkeypatch.setitem(handlers.batch_behaviours, "batch bug", lambda: 1 / 0)
    singly(group, note("a", 1, "batch bug", event_id="e"))
    first = json.dumps({"key": "a", "number": 5, "behaviour": "batch bug"}).encode()

    edit_and_retry(("e", BATCH), value=first, **WHO)
    drain()
    assert DeadLetterRow.objects.get().resolved_at is None
    edit_and_retry(("e", BATCH), headers={"note": "again"}, **WHO)
    monkeypatch.setitem(handlers.batch_behaviours, "batch bug", lambda: None)
    drain()

    assert applied("batch", "a") == [5]
    letter = DeadLetterRow.objects.get()
    assert json.loads(unpacked(letter.raw).value)["number"] == 1
    assert dict(unpacked(letter.edited).headers)["note"] == b"again"


def test_an_edit_needs_a_reason_and_is_done_once(stuck):
    with pytest.raises(ReasonMissing):
        edit_and_retry(stuck, value=value_of(), actor="kim", reason="")

    twice = [edit_and_retry(stuck, value=value_of(number=number), **WHO).outcome for number in (7, 8)]
    drain()

    assert twice == ["done", "unchanged"]
    assert applied("single", "a") == [7, 2]
    assert [each.outcome for each in retry([stuck], **WHO)] == ["unchanged"]
