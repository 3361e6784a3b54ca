"""After a bad deploy: the circuit breaker stops the handler before it answers all wrongly, and a resume continues."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings

from messaging import UnknownName, dead_letters, pause, resume, retry
from messaging.consumer.batch import handle_batch
from messaging.errors import Paused
from messaging.models import OperatorAction, ParkedKey, Pause
from messaging.operations.selectors import targets_of
from messaging.parking import pauses
from messaging.testing import published
from tests.messaging.operating import BATCH, SINGLE, WHO, Switch, drain, goes_on, note, with_patient_retries
from tests.messaging.records import Record, fetched
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAnswered
from tests.messaging.test_batch import applied, position, singly

pytestmark = pytest.mark.django_db(transaction=True)

FUSE = 5
KEYS = [f"k{n}" for n in range(9)]


@pytest.fixture
def deploy(group: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Switch:
    """A bad deploy of both handlers: all events fail by the same bug until it is fixed."""
    settings.MESSAGING = {**settings.MESSAGING, "FUSE_EVENTS": FUSE}
    bug = Switch(ZeroDivisionError("a bad deploy"))
    monkeypatch.setitem(handlers.behaviours, "deploy", bug)
    monkeypatch.setitem(handlers.batch_behaviours, "batch deploy", bug)
    return bug


def answered() -> dict[str, str]:
    """Return the last answer by key, of which there may be but one."""
    answers = {each.key: each.result for each in published(NoteAnswered)}
    assert len(answers) == len(published(NoteAnswered))
    return answers


def consume_until_paused(group: str, records: list[Record]) -> list[Record]:
    """Consume one record after the other as the live consumer does; return those that a pause has kept back."""
    for index, record in enumerate(records):
        try:
            singly(group, record)
        except Paused:
            return records[index:]
    return []


def test_after_a_resume_everything_that_was_kept_back_is_answered_rightly_and_in_order(group, deploy):
    kept = consume_until_paused(group, [note(key, number, "deploy") for number in (1, 2) for key in KEYS])
    wrongly = set(answered())
    assert (len(wrongly), len(kept)) == (FUSE, 2 * len(KEYS) - FUSE)
    assert [each.actor for each in Pause.objects.all()] == ["fuse"]
    before = position(group)
    with pytest.raises(Paused):
        handle_batch(group, [fetched(group, *kept)])

    deploy.on = False
    assert resume(SINGLE, actor="kim", reason="rolled back").outcome == "done"
    assert position(group) == before
    assert consume_until_paused(group, kept) == []

    assert {each.key for each in published(NoteAnswered) if each.result == "exhausted"} == wrongly
    assert [applied("single", key) for key in KEYS] == [[2] if key in wrongly else [1, 2] for key in KEYS]
    assert [applied("batch", key) for key in KEYS] == [[1, 2]] * len(KEYS)


def test_after_a_resume_the_dead_letters_are_retried_as_a_group_before_what_waits(group, deploy):
    events = [note(key, number, "batch deploy" if number == 1 else "") for number in (1, 2) for key in KEYS]
    kept = consume_until_paused(group, events)
    assert len(kept) == 2 * len(KEYS) - FUSE
    deploy.on = False
    resume(BATCH, **WHO)
    assert consume_until_paused(group, kept) == []

    retry(targets_of(dead_letters(handler=BATCH)), **WHO)
    drain()

    assert [applied("batch", key) for key in KEYS] == [[1, 2]] * len(KEYS)
    assert [applied("single", key) for key in KEYS] == [[1, 2]] * len(KEYS)
    assert not ParkedKey.objects.exists()


def test_a_resume_without_a_mended_cause_answers_one_more_and_pauses_again(group, deploy):
    kept = consume_until_paused(group, [note(key, 1, "deploy") for key in KEYS])
    resume(SINGLE, **WHO)

    kept_again = consume_until_paused(group, kept)

    assert len(kept) - len(kept_again) == 1
    assert Pause.objects.get().name == SINGLE


@pytest.mark.parametrize("name", [SINGLE, django_settings.SAMPLE_TOPIC])
def test_parked_keys_rest_through_a_pause_and_go_on_after_it(group, settings, monkeypatch, name):
    with_patient_retries(settings)
    failing = Switch(ZeroDivisionError())
    monkeypatch.setitem(handlers.batch_behaviours, "batch failing", failing)
    singly(group, note("a", 1, "batch failing", event_id="e"), note("a", 2))
    failing.on = False

    assert pause(name, **WHO).outcome == "done"
    retry([("e", BATCH)], **WHO)
    drain()
    assert applied("batch", "a") == []
    resume(name, **WHO)
    drain()

    assert applied("batch", "a") == applied("single", "a") == [1, 2]
    assert goes_on("a")


def test_pausing_and_resuming_twice_is_noted_and_changes_nothing(group):
    outcomes = [act(SINGLE, **WHO).outcome for act in (pause, pause, resume, resume)]

    assert outcomes == ["done", "unchanged", "done", "unchanged"]
    assert [action.verb for action in OperatorAction.objects.order_by("id")] == ["pause", "pause", "resume", "resume"]


@pytest.mark.parametrize("act", [pause, resume])
def test_a_name_that_is_no_handler_and_no_topic_is_refused_with_the_names_there_are(group, act):
    with pytest.raises(UnknownName, match=SINGLE):
        act("nobody", **WHO)

    assert not OperatorAction.objects.exists()


def test_a_pause_of_what_the_code_no_longer_has_can_be_ended(group):
    pauses.insert("sample.gone", reason="x", actor="kim")

    assert resume("sample.gone", **WHO).outcome == "done"
    assert not Pause.objects.exists()
