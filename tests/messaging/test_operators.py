"""What operators do to events: retried or skipped, once, in the order of the key, with a row in the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, transaction

from messaging import ReasonMissing, Retry, dead_letters, edit_and_retry, queue_of, retry, skip, subscribe
from messaging.consumer.batch import handle_batch
from messaging.consumer.retry_parked import due
from messaging.event import _UPCASTERS
from messaging.models import DeadLetterRow, InboxRow, OperatorAction, ParkedKey
from messaging.operations import actions
from messaging.operations.selectors import targets_of
from messaging.registry import all_handlers, handler_named, remove
from messaging.testing import published
from tests.messaging.operating import (
    BATCH,
    NOBODY,
    SINGLE,
    WHO,
    Switch,
    broken,
    drain,
    goes_on,
    note,
    of_type,
    outcomes,
    transient,
    undecodable,
    with_patient_retries,
)
from tests.messaging.records import Record, fetched
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded, NoteAnswered
from tests.messaging.sample.models import Applied
from tests.messaging.test_batch import applied, singly

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def failing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Switch:
    """The single handler's behaviour `failing`, a transient failure; only an operator tries again."""
    with_patient_retries(settings)
    switch = transient()
    monkeypatch.setitem(handlers.behaviours, "failing", switch)
    return switch


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> Switch:
    """The batch handler's behaviour `batch bug`: a dead letter, since that handler has no failure answer."""
    switch = Switch(ZeroDivisionError("a bug"))
    monkeypatch.setitem(handlers.batch_behaviours, "batch bug", switch)
    return switch


def test_a_waiting_head_that_is_retried_takes_effect_before_what_waits_behind_it(group, failing):
    singly(group, note("a", 1, "failing", event_id="e"), note("a", 2), note("b", 1), note("a", 3))
    failing.on = False
    drain()
    assert (applied("single", "a"), applied("single", "b")) == ([], [1])

    results = retry([("e", SINGLE)], **WHO)
    drain()

    assert outcomes(results) == ["done"]
    assert applied("single", "a") == applied("batch", "a") == [1, 2, 3]
    assert goes_on("a")


def test_attempts_start_afresh_when_an_operator_retries(group, failing):
    singly(group, note("a", 1, "failing", event_id="e"))
    assert InboxRow.objects.get(event_id="e", handler=SINGLE).attempts == 3

    retry([("e", SINGLE)], **WHO)
    drain()

    assert handlers.attempts[("a", 1)] == [1, 2, 3, 1, 2, 3]
    assert InboxRow.objects.get(event_id="e", handler=SINGLE).attempts == 3


def test_a_dead_head_that_is_retried_takes_effect_before_what_waits_behind_it(group, bug):
    singly(group, note("a", 1, "batch bug", event_id="e"), note("a", 2), note("a", 3))
    bug.on = False

    assert outcomes(retry([("e", BATCH)], **WHO)) == ["done"]
    drain()

    assert applied("batch", "a") == applied("single", "a") == [1, 2, 3]
    assert goes_on("a")
    letter = DeadLetterRow.objects.get()
    assert (letter.resolution, letter.resolved_at is None) == ("retried", False)


def test_a_dead_letter_that_dies_again_is_open_again_and_keeps_its_key(group, bug):
    singly(group, note("a", 1, "batch bug", event_id="e"), note("a", 2))

    retry([("e", BATCH)], **WHO)
    drain()

    letter = DeadLetterRow.objects.get()
    assert (letter.resolution, letter.resolved_at, letter.attempts) == ("", None, 3)
    assert applied("batch", "a") == []
    assert [row.number for row in Applied.objects.filter(handler="single", key="a")] == [1]


def test_a_head_that_is_skipped_lets_the_rest_go_on_in_order(group):
    singly(group, broken(note("a", 1)), note("a", 2), note("a", 3))

    assert outcomes(skip([undecodable("a")], **WHO)) == ["done"]
    drain()

    assert applied("single", "a") == applied("batch", "a") == [2, 3]
    assert goes_on("a")
    assert InboxRow.objects.get(handler=NOBODY).state == "skipped"
    assert DeadLetterRow.objects.get().resolution == "skipped"


def test_a_skip_in_the_middle_is_for_one_handler_and_one_event(group, failing):
    singly(group, note("a", 1, "failing", event_id="e"), note("a", 2, event_id="f"), note("a", 3))
    failing.on = False

    assert outcomes(skip([("f", SINGLE)], **WHO)) == ["done"]
    drain()
    assert applied("single", "a") == applied("batch", "a") == []
    retry([("e", SINGLE)], **WHO)
    drain()

    assert (applied("single", "a"), applied("batch", "a")) == ([1, 3], [1, 2, 3])


def test_what_was_skipped_is_not_handled_when_it_comes_again(group, failing):
    event = note("a", 1, "failing", event_id="e")
    singly(group, event)
    skip([("e", SINGLE), ("e", BATCH)], **WHO)
    drain()
    failing.on = False

    singly(group, event)

    assert applied("single", "a") == applied("batch", "a") == []


def test_retrying_twice_is_retrying_once(group, bug):
    singly(group, note("a", 1, "batch bug", event_id="e"), note("a", 2))
    bug.on = False

    twice = outcomes(retry([("e", BATCH)], **WHO) + retry([("e", BATCH)], **WHO))
    drain()
    after = outcomes(retry([("e", BATCH)], **WHO) + skip([("e", BATCH)], **WHO))
    drain()

    assert twice == ["done", "unchanged"]
    assert after == ["unchanged", "unchanged"]
    assert applied("batch", "a") == [1, 2]


def test_a_group_is_retried_by_its_fingerprint_and_nothing_else_with_it(group, bug):
    singly(group, broken(note("z", 1)), *(note(key, number, "batch bug") for number in (1, 2) for key in "abc"))
    bug.on = False
    [fingerprint] = {letter.fingerprint for letter in dead_letters(handler=BATCH)}

    results = retry(targets_of(dead_letters(fingerprint=fingerprint)), **WHO)
    drain()

    assert outcomes(results) == ["done"] * 3
    assert [applied("batch", key) for key in "abc"] == [[1, 2]] * 3
    assert [letter.key for letter in dead_letters()] == ["z"]
    assert dead_letters(open=False).count() == 4


def test_a_long_list_is_done_in_chunks_each_with_its_row_in_the_ledger(group, monkeypatch):
    monkeypatch.setattr(actions, "CHUNK", 2)
    singly(group, *(broken(note(key, 1)) for key in "abcde"))

    skip(targets_of(dead_letters()), **WHO)

    assert [len(action.targets) for action in OperatorAction.objects.order_by("id")] == [2, 2, 1]
    assert not dead_letters().exists()


def test_letters_of_one_key_that_its_handler_declared_dead_are_retried_together_in_order(group, monkeypatch):
    singly(group, note("a", 1, "dead", event_id="e"), note("a", 2, "dead", event_id="f"))
    monkeypatch.setitem(handlers.behaviours, "dead", lambda event, context: None)

    results = retry([("f", SINGLE), ("e", SINGLE)], **WHO)
    drain()

    assert outcomes(results) == ["done", "done"]
    assert applied("single", "a") == [1, 2]


def test_a_letter_is_not_retried_after_what_came_by_another_partition(group, monkeypatch):
    """Partitions were added since, so the key's later events stand in another one, maybe at lower offsets."""
    singly(group, note("a", 1, "dead", event_id="e"))
    InboxRow.objects.update(offset=1_000_000)
    monkeypatch.setitem(handlers.behaviours, "dead", lambda event, context: None)
    handle_batch(group, [fetched(group, note("a", 2), partition=1)])

    assert outcomes(retry([("e", SINGLE)], **WHO)) == ["refused"]


@pytest.mark.parametrize(
    "what",
    [
        {"value": b'{"key":"a","number":1,"x":' + b"[" * 1200 + b"]" * 1200 + b"}"},
        {"headers": {"x": "\ud800"}},
        {"headers": {"\ud800": "x"}},
    ],
)
def test_an_edit_that_can_not_be_written_is_refused_and_noted(group, what):
    singly(group, broken(note("a", 1)))
    letter = DeadLetterRow.objects.get()

    assert outcomes([edit_and_retry(letter.target, **what, **WHO)]) == ["refused"]
    assert OperatorAction.objects.count() == 1


def test_a_letter_from_before_what_the_inbox_remembers_needs_a_word_more(group, monkeypatch):
    singly(group, note("a", 1, "dead", event_id="e"))
    monkeypatch.setitem(handlers.behaviours, "dead", lambda event, context: None)
    InboxRow.objects.update(received_at=datetime.now(UTC) - timedelta(days=46))

    [result] = retry([("e", SINGLE)], **WHO)

    assert (result.outcome, "may have forgotten" in result.detail) == ("refused", True)
    assert outcomes(retry([("e", SINGLE)], allow_reorder=True, **WHO)) == ["done"]


def test_a_letter_of_an_event_that_its_handler_declared_dead_can_be_retried(group, monkeypatch):
    singly(group, note("a", 1, "dead", event_id="e"))
    assert goes_on("a")
    monkeypatch.setitem(handlers.behaviours, "dead", lambda *_: None)

    assert outcomes(retry([("e", SINGLE)], **WHO)) == ["done"]
    singly(group, note("a", 2))
    drain()

    assert applied("single", "a") == [1, 2]
    assert goes_on("a")


def test_it_is_refused_when_the_handler_has_handled_later_events_of_the_key(group, monkeypatch):
    singly(group, note("a", 1, "dead", event_id="e"), note("a", 2))
    monkeypatch.setitem(handlers.behaviours, "dead", lambda *_: None)

    [refused] = retry([("e", SINGLE)], **WHO)
    assert (refused.outcome, "later events" in refused.detail) == ("refused", True)
    assert not ParkedKey.objects.exists()
    assert DeadLetterRow.objects.get().resolved_at is None

    assert outcomes(retry([("e", SINGLE)], allow_reorder=True, **WHO)) == ["done"]
    drain()
    assert applied("single", "a") == [2, 1]


def test_it_is_refused_for_later_events_also_while_the_key_is_parked(group, failing, monkeypatch):
    singly(group, note("a", 1, "dead", event_id="e"), note("a", 2), note("a", 3, "failing"))
    monkeypatch.setitem(handlers.behaviours, "dead", lambda *_: None)

    assert outcomes(retry([("e", SINGLE)], **WHO)) == ["refused"]


def test_it_goes_before_what_only_waits_for_its_turn(group, failing, monkeypatch):
    singly(group, note("a", 1, "dead", event_id="e"), note("a", 2, "failing", event_id="f"), note("a", 3))
    monkeypatch.setitem(handlers.behaviours, "dead", lambda *_: None)
    failing.on = False

    assert outcomes(retry([("e", SINGLE), ("f", SINGLE)], **WHO)) == ["done", "done"]
    drain()

    assert applied("single", "a") == [1, 2, 3]


@pytest.mark.parametrize("key", [None, b"\xff"])
def test_a_record_without_a_readable_key_can_only_be_skipped(group, key):
    record = note("a", 1)
    singly(group, Record(key=key, headers=record.headers, value=record.value, topic=record.topic))

    [refused] = retry([undecodable("")], **WHO)
    assert (refused.outcome, "key cannot be read" in refused.detail) == ("refused", True)
    assert outcomes(skip([undecodable("")], **WHO)) == ["done"]
    assert not dead_letters().exists()


def test_a_version_that_the_code_has_learnt_meanwhile_takes_effect_in_its_place(group, monkeypatch):
    singly(group, note("a", 0), of_type(note("a", 1), b"sample.NoteAdded.v0"), note("a", 2))
    assert outcomes(retry([undecodable("a")], **WHO)) == ["refused"]

    upcast = ("sample.NoteAdded.v1", lambda data: data | {"number": data["number"] + 100})
    monkeypatch.setitem(_UPCASTERS, "sample.NoteAdded.v0", upcast)
    assert outcomes(retry([undecodable("a")], **WHO)) == ["done"]
    drain()

    assert applied("single", "a") == applied("batch", "a") == [0, 101, 2]
    assert goes_on("a")
    assert [each.result for each in published(NoteAnswered) if each.key == "a"] == ["applied"] * 3


def test_an_event_that_could_not_be_read_at_first_and_then_came_again_takes_effect_once(group, monkeypatch):
    event = note("a", 1, event_id="e")
    singly(group, of_type(event, b"sample.NoteAdded.v0"), event)
    monkeypatch.setitem(_UPCASTERS, "sample.NoteAdded.v0", ("sample.NoteAdded.v1", dict))

    retry([undecodable("a")], **WHO)
    drain()

    assert applied("single", "a") == applied("batch", "a") == [1]
    assert goes_on("a")


def test_an_event_whose_handler_is_gone_is_refused_and_can_be_skipped(group, bug, monkeypatch):
    singly(group, note("a", 1, "batch bug", event_id="e"))
    gone = handler_named(BATCH)
    monkeypatch.setattr("messaging.registry._BY_TYPE", {"sample.NoteAdded.v1": [handler_named(SINGLE)]})

    [refused] = retry([("e", gone.name)], **WHO)

    assert (refused.outcome, "does not handle" in refused.detail) == ("refused", True)
    assert outcomes(skip([("e", gone.name)], **WHO)) == ["done"]


def test_an_event_that_is_not_there_is_said_to_be_unknown(group):
    assert outcomes(retry([("nobody", SINGLE)], **WHO)) == ["unknown"]


@pytest.mark.parametrize("act", [retry, skip])
def test_nothing_is_done_without_a_reason(group, bug, act):
    singly(group, note("a", 1, "batch bug", event_id="e"))

    with pytest.raises(ReasonMissing):
        act([("e", BATCH)], actor="kim", reason=" \n")

    assert InboxRow.objects.get(event_id="e", handler=BATCH).state == "dead"
    assert not OperatorAction.objects.exists()


def test_the_ledger_says_who_did_what_why_and_with_what_result(group, bug):
    singly(group, note("a", 1, "batch bug", event_id="e"))

    skip([("e", BATCH), ("f", BATCH), ("e", BATCH)], actor="kim", reason=" it was a test \x00")

    action = OperatorAction.objects.get()
    assert (action.actor, action.verb, action.reason) == ("kim", "skip", "it was a test \ufffd")
    assert action.targets == [["e", BATCH], ["f", BATCH]]
    assert [each["outcome"] for each in action.results] == ["done", "unknown"]


@pytest.mark.parametrize("change", [{"reason": "another"}, None])
def test_the_ledger_refuses_to_be_changed(group, change):
    skip([("e", BATCH)], **WHO)
    rows = OperatorAction.objects.all()

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        rows.update(**change) if change else rows._raw_delete("default")


def test_the_queue_of_a_key_is_shown_in_the_order_in_which_it_takes_effect(group, failing):
    singly(group, note("a", 1, "failing", event_id="z"), note("a", 2, event_id="b"))

    queue = queue_of(django_settings.SAMPLE_TOPIC, "a")

    assert targets_of(list(queue)) == [("z", SINGLE), ("z", BATCH), ("b", SINGLE), ("b", BATCH)]


@pytest.fixture
def two_handlers(group):
    """Two handlers of which the second comes first by its name; both fail while the switch is on."""
    before, switch = all_handlers(), Switch(ValueError("broken"))
    for name in ("sample.z_first", "sample.a_second"):
        subscribe(NoteAdded, replay="skip", name=name, retries=Retry(immediate=1))(switch)
    yield switch
    for handler in all_handlers():
        if handler not in before:
            remove(handler)


def test_a_dead_head_is_not_due_though_another_handler_waits_behind_it(two_handlers, group):
    singly(group, note("a", 1, event_id="e"))

    assert InboxRow.objects.get(handler="sample.z_first").state == "dead"
    assert InboxRow.objects.get(handler="sample.a_second").state == "waiting"
    assert due() == []


def test_each_handler_of_an_event_is_tried_again_in_its_turn(two_handlers, group):
    singly(group, note("a", 1, event_id="e"))
    two_handlers.on = False

    retry([("e", "sample.z_first")], **WHO)
    drain()

    assert set(InboxRow.objects.values_list("state", flat=True)) == {"done"}
    assert goes_on("a")
