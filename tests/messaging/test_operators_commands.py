"""The operators' commands: they show before they act, need a reason, and end with a sentence and a code."""

from __future__ import annotations

import io
import json
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import OperationalError

from messaging.errors import ExitCode
from messaging.models import DeadLetterRow, OperatorAction, Pause
from tests.messaging.operating import (
    NOBODY,
    SINGLE,
    broken,
    drain,
    goes_on,
    note,
    transient,
    undecodable,
    with_patient_retries,
)
from tests.messaging.sample import handlers
from tests.messaging.test_batch import applied, singly

pytestmark = pytest.mark.django_db(transaction=True)

EXECUTE = ("--execute", "--reason", "a test")
VALUE = '{"key": "a", "number": 7}'


def run(command: str, *options: str) -> str:
    out = StringIO()
    call_command(command, *options, stdout=out)
    return out.getvalue()


def code_of(command: str, *options: str) -> int:
    """Run a command that has to fail, and return its exit code."""
    with pytest.raises(CommandError) as caught:
        call_command(command, *options, stdout=StringIO())
    assert str(caught.value)
    return int(caught.value.returncode)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def letters(group: str) -> None:
    """Dead letters of three keys; another event waits behind the first."""
    singly(group, *(broken(note(key, 1)) for key in "abc"), note("a", 2))


def test_the_list_groups_dead_letters_that_failed_alike(letters, group):
    singly(group, note("d", 1, "dead"))

    text = run("list_dead_letters")

    assert [line.split()[0] for line in text.splitlines()] == ["3", "1"]
    assert "InvalidRecord: schema_violation" in text
    [first, second] = rows(run("list_dead_letters", "--json"))
    assert (first["count"], first["handler"], second["reason"]) == (3, NOBODY, "unknown_note")


def test_the_list_shows_each_letter_when_asked_and_hides_what_is_resolved(letters):
    run("skip_dead_letters", "--key", "b", *EXECUTE)

    assert [row["key"] for row in rows(run("list_dead_letters", "--each", "--json"))] == ["a", "c"]
    assert [row["key"] for row in rows(run("list_dead_letters", "--each", "--resolved", "--json"))] == ["a", "b", "c"]
    assert run("list_dead_letters", "--each", "--key", "c").startswith(f"{undecodable('c')[0]} -  ")


@pytest.mark.parametrize("command", ["list_dead_letters", "list_parked"])
def test_an_empty_list_says_that_all_is_well(group, command):
    assert run(command).strip().endswith((": nothing is to be done.", ": every key goes on."))
    assert run(command, "--json") == ""


def test_parked_keys_are_listed_with_queue_head_and_next_attempt(letters, group, settings, monkeypatch):
    with_patient_retries(settings)
    monkeypatch.setitem(handlers.behaviours, "failing", transient())
    singly(group, note("d", 1, "failing", event_id="e"), note("d", 2))

    found = rows(run("list_parked", "--json"))

    assert [(row["key"], row["length"], row["state"]) for row in found] == [
        ("a", 3, "dead"),
        ("b", 1, "dead"),
        ("c", 1, "dead"),
        ("d", 4, "waiting"),
    ]
    assert (found[3]["event_id"], found[3]["handler"], found[3]["attempts"]) == ("e", SINGLE, 3)
    assert "not yet" in found[3]["error"]
    text = run("list_parked", "--key", "d")
    assert "4 in the queue" in text and "tried again at" in text
    assert "waits for an operator" in run("list_parked", "--topic", django_settings.SAMPLE_TOPIC, "--limit", "1")


@pytest.mark.parametrize("command", ["replay_dead_letters", "skip_dead_letters"])
def test_a_dry_run_shows_what_is_chosen_and_changes_nothing(letters, command):
    text = run(command, "--all")

    assert "3  InvalidRecord: schema_violation  at -" in text
    assert "dry run: 3 chosen" in text
    assert not OperatorAction.objects.exists()
    assert DeadLetterRow.objects.filter(resolved_at=None).count() == 3


def test_dead_letters_are_skipped_by_key_and_the_rest_goes_on(letters):
    assert "1 done" in run("skip_dead_letters", "--key", "a", *EXECUTE)
    drain()

    assert applied("single", "a") == [2]
    assert DeadLetterRow.objects.filter(resolved_at=None).count() == 2


def test_dead_letters_are_skipped_by_fingerprint_handler_topic_and_id(letters):
    run("skip_dead_letters", "--fingerprint", "InvalidRecord: schema_violation", "--key", "a", *EXECUTE)
    run("skip_dead_letters", "--event-id", undecodable("b")[0], *EXECUTE)
    run("skip_dead_letters", "--topic", django_settings.SAMPLE_TOPIC, "--handler", NOBODY, *EXECUTE)
    drain()

    assert not DeadLetterRow.objects.filter(resolved_at=None).exists()
    assert [len(action.targets) for action in OperatorAction.objects.all()] == [1, 1, 1]
    assert goes_on("a")


def test_dead_letters_are_replayed_once_the_handler_is_mended(group, monkeypatch):
    monkeypatch.setitem(handlers.batch_behaviours, "batch bug", lambda: 1 / 0)
    singly(group, note("a", 1, "batch bug"), note("a", 2))
    monkeypatch.setitem(handlers.batch_behaviours, "batch bug", lambda: None)

    run("replay_dead_letters", "--all", *EXECUTE)
    drain()

    assert applied("batch", "a") == applied("single", "a") == [1, 2]


def test_an_event_that_waits_is_tried_again_at_once_by_its_id(group, settings, monkeypatch):
    with_patient_retries(settings)
    failing = transient()
    monkeypatch.setitem(handlers.behaviours, "failing", failing)
    singly(group, note("a", 1, "failing", event_id="e"))
    failing.on = False

    run("replay_dead_letters", "--event-id", "e", "--handler", SINGLE, *EXECUTE)
    drain()

    assert applied("single", "a") == [1]


def test_what_would_take_effect_out_of_order_is_refused_until_it_is_allowed(group, monkeypatch):
    singly(group, note("a", 1, "dead"), note("a", 2))
    monkeypatch.setitem(handlers.behaviours, "dead", lambda *_: None)

    assert code_of("replay_dead_letters", "--all", *EXECUTE) == ExitCode.REFUSED
    run("replay_dead_letters", "--all", "--allow-reorder", *EXECUTE)
    drain()

    assert applied("single", "a") == [2, 1]


def test_a_dead_letter_is_edited_by_a_value_a_file_or_standard_input(letters, tmp_path, monkeypatch):
    file = tmp_path / "value.json"
    file.write_text(VALUE.replace('"a"', '"b"'))
    stdin = type("Stdin", (), {"buffer": io.BytesIO(VALUE.replace('"a"', '"c"').encode())})
    monkeypatch.setattr("sys.stdin", stdin)

    run("edit_dead_letter", *undecodable("a"), "--value", VALUE, "--header", "note=x=y", "--reason", "a test")
    run("edit_dead_letter", *undecodable("b"), "--value-file", str(file), "--reason", "a test")
    run("edit_dead_letter", *undecodable("c"), "--value-file", "-", "--reason", "a test")
    drain()

    assert [applied("single", key) for key in "abc"] == [[7, 2], [7], [7]]


def test_the_value_of_a_dead_letter_is_printed_to_be_edited(letters):
    assert run("edit_dead_letter", *undecodable("a"), "--show") == "not JSON\n"
    assert not OperatorAction.objects.exists()


def test_a_handler_is_paused_shown_and_resumed(group):
    assert "Nothing is paused." in run("pause")
    assert "1 done" in run("pause", SINGLE, "--reason", "a bad deploy")
    assert f"paused: {SINGLE} since" in run("resume")
    assert "1 unchanged" in run("pause", SINGLE, "--reason", "again")
    assert "1 done" in run("resume", SINGLE, "--reason", "fixed")

    assert not Pause.objects.exists()
    assert [action.verb for action in OperatorAction.objects.order_by("id")] == ["pause", "pause", "resume"]


@pytest.mark.parametrize(
    ("command", "options", "code"),
    [
        ("replay_dead_letters", ["--all", "--execute"], ExitCode.NO_REASON),
        ("skip_dead_letters", ["--all", "--execute", "--reason", " "], ExitCode.NO_REASON),
        ("skip_dead_letters", ["--key", "nobody", *EXECUTE], ExitCode.NOTHING_FOUND),
        ("skip_dead_letters", ["--event-id", "nobody", *EXECUTE], ExitCode.NOTHING_FOUND),
        ("replay_dead_letters", ["--all", *EXECUTE], ExitCode.REFUSED),
        ("replay_dead_letters", [], 2),
        ("edit_dead_letter", ["nobody", "-", "--value", VALUE], ExitCode.NO_REASON),
        ("edit_dead_letter", ["nobody", "-", "--value", VALUE, "--reason", "x"], ExitCode.REFUSED),
        ("edit_dead_letter", ["nobody", "-", "--show"], ExitCode.NOTHING_FOUND),
        ("edit_dead_letter", ["x", "-", "--value-file", "/nowhere", "--reason", "x"], ExitCode.UNREADABLE_FILE),
        ("edit_dead_letter", ["x", "-", "--header", "nothing"], 1),
        ("pause", ["nobody", "--reason", "x"], ExitCode.UNKNOWN_NAME),
        ("resume", ["nobody", "--reason", "x"], ExitCode.UNKNOWN_NAME),
        ("pause", [SINGLE], ExitCode.NO_REASON),
    ],
)
def test_what_can_not_be_done_ends_with_a_sentence_and_a_code(letters, command, options, code):
    assert code_of(command, *options) == code


def test_a_database_that_does_not_answer_ends_with_a_code_of_its_own(letters, monkeypatch):
    def gone(*_: Any, **__: Any) -> Any:
        raise OperationalError("the database is gone")

    monkeypatch.setattr("messaging.operations.actions.skip", gone)

    assert code_of("skip_dead_letters", "--all", *EXECUTE) == ExitCode.INCOMPLETE
