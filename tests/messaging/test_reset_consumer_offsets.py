"""Moving a group by command: position and Kafka's offset together, only at rest, and never past an event unasked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from kafka.errors import CoordinatorNotAvailableError

from messaging import pause, resume
from messaging.errors import ExitCode
from messaging.inbox import lost_commits
from messaging.models import ConsumerPosition, InboxRow, OperatorAction
from messaging.replay import reset_offsets as implementation
from tests.messaging.conftest import consumer_of
from tests.messaging.log import ends_of
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, is_applied, notes, offset_of, stop_reasons
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

EXECUTE = ("--execute", "--reason", "a test")
Reset = Callable[..., str]


@pytest.fixture
def reset_offsets(group: str) -> Reset:
    """Run the command for partition 0 of the sample's topic, or for `topic`; returns what it wrote."""

    def run(*options: str, topic: str = f"{django_settings.SAMPLE_TOPIC}:0") -> str:
        out = StringIO()
        call_command("reset_consumer_offsets", topic, *options, stdout=out)
        return out.getvalue()

    return run


def row(group: str, partition: int = 0) -> Any:
    return ConsumerPosition.objects.filter(
        consumer_group=group, topic=django_settings.SAMPLE_TOPIC, partition=partition
    )


def position(group: str, partition: int = 0) -> int | None:
    found = row(group, partition).first()
    return found and found.next_offset


def handled(write, group, key, count: int) -> int:
    """Let a consumer handle events of partition 0; return where it began."""
    start = position(group)
    assert start is not None
    write.events(*notes(key, count), partition=0)
    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, count))
    eventually(lambda: offset_of(group, 0) == start + count)
    return start


def refused(reset_offsets: Reset, exit_code: int, *options: str, **named: str) -> str:
    with pytest.raises(CommandError) as refusal:
        reset_offsets(*options, **named)
    assert refusal.value.returncode == exit_code
    return str(refusal.value)


def test_without_execute_it_shows_where_to_and_changes_nothing(reset_offsets, write, group, key):
    start = handled(write, group, key, 3)

    said = reset_offsets("--from-offset", str(start + 1))

    assert f"{django_settings.SAMPLE_TOPIC}/0: {start + 3} → {start + 1}; reads 2 offsets again" in said
    assert "dry run: nothing was changed" in said
    assert (position(group), offset_of(group, 0)) == (start + 3, start + 3)
    assert not OperatorAction.objects.exists()


def test_a_group_that_is_moved_back_reads_again_and_doubles_nothing(reset_offsets, write, group, key):
    start = handled(write, group, key, 3)

    said = reset_offsets("--from-offset", str(start), *EXECUTE)

    assert "moved; 1 partitions" in said
    assert (position(group), offset_of(group, 0)) == (start, start)
    action = OperatorAction.objects.get()
    assert (action.verb, action.reason) == ("reset_consumer_offsets", "a test")
    assert action.results[0]["detail"] == f"{start + 3} → {start}; Kafka had {start + 3}"

    InboxRow.objects.filter(key=key, offset=start + 2).delete()  # as if it had never been handled
    with running(consumer_of(group)):
        eventually(lambda: position(group) == start + 3)
    assert applied(key) == [0, 1, 2, 2]


def test_events_are_passed_only_with_consent(reset_offsets, write, group, key):
    start = handled(write, group, key, 1)
    write.events(*notes(f"{key}-skipped", 2), partition=0)

    said = refused(reset_offsets, ExitCode.REFUSED, "--to-latest", *EXECUTE)
    assert "would pass 2 offsets" in said
    assert "--allow-skip" in said
    assert position(group) == start + 1

    assert "passes 2 offsets unhandled" in reset_offsets("--to-latest", "--allow-skip", *EXECUTE)
    assert (position(group), offset_of(group, 0)) == (start + 3, start + 3)
    write.events(NoteAdded(key=key, number=1), partition=0)
    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, 2))
    assert applied(f"{key}-skipped") == []


def test_passed_events_are_not_handled_after_later_ones_unasked(reset_offsets, write, group, key):
    start = handled(write, group, key, 1)
    write.events(NoteAdded(key=key, number=1), NoteAdded(key=f"{key}-other", number=0), partition=0)
    reset_offsets("--to-latest", "--allow-skip", *EXECUTE)
    write.events(NoteAdded(key=key, number=2), partition=0)
    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, 2))

    said = refused(reset_offsets, ExitCode.REFUSED, "--from-offset", str(start), *EXECUTE)
    assert "2 unhandled events would be applied after later events" in said  # once at each handler
    assert position(group) == start + 4

    reset_offsets("--from-offset", str(start + 2), *EXECUTE)  # where the other key begins, which has no later ones
    reset_offsets("--from-offset", str(start), "--allow-reorder", *EXECUTE)
    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, 3) and is_applied(f"{key}-other", 1))
    assert applied(key) == [0, 2, 1]


def test_a_group_whose_workers_run_is_left_alone(reset_offsets, write, consumer, group, key):
    write.events(*notes(key, 2), partition=0)
    eventually(lambda: is_applied(key, 2))

    said = refused(reset_offsets, ExitCode.GROUP_ACTIVE, "--shift-by", "-1", *EXECUTE)

    assert "has 1 members: stop its workers first" in said
    write.events(NoteAdded(key=key, number=2), partition=0)
    eventually(lambda: is_applied(key, 3))


def test_a_worker_that_joins_meanwhile_is_noticed_by_the_broker(reset_offsets, write, group, key, monkeypatch):
    start = handled(write, group, key, 2)
    monkeypatch.setattr(implementation, "_refuse_active", lambda client, group: None)
    with running(consumer_of(group)) as consumer:
        eventually(lambda: hasattr(consumer, "assignment") and len(consumer.assignment.at) == 6)

        said = refused(reset_offsets, ExitCode.GROUP_ACTIVE, "--from-offset", str(start), *EXECUTE)

    assert "has members again" in said
    assert position(group) == start + 2
    assert not OperatorAction.objects.exists()


def test_a_worker_that_joins_before_the_group_goes_forward_follows_it(reset_offsets, write, group, key, monkeypatch):
    start = handled(write, group, key, 1)
    monkeypatch.setattr(implementation, "_refuse_active", lambda client, group: None)
    pause(django_settings.SAMPLE_TOPIC, actor="a test", reason="so that it stays behind")
    with running(consumer_of(group)) as consumer:
        write.events(*notes(f"{key}-passed", 2), partition=0)
        eventually(lambda: hasattr(consumer, "assignment") and len(consumer.assignment.paused) == 3)

        assert "moved; 1 partitions" in reset_offsets("--to-latest", "--allow-skip", *EXECUTE)
        resume(django_settings.SAMPLE_TOPIC, actor="a test", reason="it is moved")
        write.events(NoteAdded(key=key, number=1), partition=0)

        eventually(lambda: is_applied(key, 2))
        eventually(lambda: offset_of(group, 0) == start + 4)
    assert applied(f"{key}-passed") == []


def test_a_position_that_moved_after_it_was_planned_is_left_alone(reset_offsets, write, group, key, monkeypatch):
    start = handled(write, group, key, 2)
    commit = implementation._commit

    def moved_meanwhile(*arguments) -> None:
        row(group).update(next_offset=start + 1)
        commit(*arguments)

    monkeypatch.setattr(implementation, "_commit", moved_meanwhile)
    said = refused(reset_offsets, ExitCode.GROUP_ACTIVE, "--from-offset", str(start), *EXECUTE)

    assert f"is at {start + 1} and was planned from {start + 2}" in said
    assert position(group) == start + 1


def test_lost_commits_are_accepted_only_by_their_name(reset_offsets, write, group, key):
    start = handled(write, group, key, 2)
    row(group).update(next_offset=start)
    with running(consumer_of(group)):
        eventually(lambda: len(stop_reasons(group)) == 6)

    said = refused(reset_offsets, ExitCode.REFUSED, "--shift-by", "0", *EXECUTE)
    assert lost_commits.LOST in said
    assert "--accept-lost-commits" in said
    assert offset_of(group, 0) == start + 2

    reset_offsets("--shift-by", "0", "--accept-lost-commits", *EXECUTE)
    assert (position(group), offset_of(group, 0)) == (start, start)
    write.events(NoteAdded(key=key, number=2), partition=0)
    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, 3))
        eventually(lambda: stop_reasons(group) == [])
    assert applied(key) == [0, 1, 2]


def test_a_partition_without_a_position_is_given_one(reset_offsets, write, group, key):
    start = handled(write, group, key, 2)
    row(group).delete()

    assert "no position to shift" in refused(reset_offsets, ExitCode.OUTSIDE_LOG, "--shift-by", "1", *EXECUTE)
    consent = ("--accept-lost-commits", "--allow-skip")
    said = reset_offsets("--from-offset", str(start + 2), *consent, *EXECUTE)

    assert f"no position → {start + 2}; Kafka has offset {start + 2}" in said
    assert position(group) == start + 2


def test_a_group_that_never_was_in_kafka_is_moved(reset_offsets, write, group, key):
    start = position(group)
    write.events(*notes(key, 2), partition=0)

    said = reset_offsets("--shift-by", "1", "--allow-skip", *EXECUTE)

    assert f"{start} → {start + 1}; Kafka has no offset; passes 1 offsets unhandled" in said
    assert (position(group), offset_of(group, 0)) == (start + 1, start + 1)


def test_every_partition_of_a_topic_is_moved_by_time(reset_offsets, write, group, key, reader):
    ends, moment = ends_of(reader, django_settings.SAMPLE_TOPIC), datetime.now(UTC)
    for partition in range(3):
        write.events(*notes(f"{key}-{partition}", 1), partition=partition)
    with running(consumer_of(group)):
        eventually(lambda: all(is_applied(f"{key}-{partition}", 1) for partition in range(3)))

    said = reset_offsets("--from-datetime", moment.isoformat(), *EXECUTE, topic=django_settings.SAMPLE_TOPIC)

    assert "moved; 3 partitions" in said
    assert {place: position(group, place[1]) for place in ends} == ends
    assert len(OperatorAction.objects.get().results) == 3


@pytest.mark.parametrize(("target", "before"), [(-2, "Kafka"), (1, "the database")], ids=["back", "forward"])
def test_a_death_in_between_leaves_nothing_that_looks_like_a_loss(
    reset_offsets, write, group, key, monkeypatch, target, before
):
    start = handled(write, group, key, 2)
    write.events(*notes(f"{key}-later", 1), partition=0)

    def dies(*_: object) -> None:
        raise CoordinatorNotAvailableError("a test")

    real = implementation._commit if before == "the database" else implementation._write
    monkeypatch.setattr(implementation, real.__name__, lambda *given: dies() if given[-1] else real(*given))
    options = ("--shift-by", str(target), "--allow-skip", *EXECUTE)
    assert "Run the same again" in refused(reset_offsets, ExitCode.INCOMPLETE, *options)
    at, committed = position(group), offset_of(group, 0)
    assert at is not None
    assert committed is not None
    assert at >= committed
    assert (at, committed) == ((start + 2, start) if before == "Kafka" else (start + 3, start + 2))

    monkeypatch.undo()
    reset_offsets("--from-offset", str(start + 2 + target), "--allow-skip", *EXECUTE)
    assert position(group) == offset_of(group, 0) == start + 2 + target


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (("--from-offset", "999999999"), ExitCode.OUTSIDE_LOG, "its log has the offsets"),
        (("--from-datetime", "2026-01-01T00:00:00"), ExitCode.NO_ZONE, "has no zone"),
        (("--shift-by", "0", "--execute"), ExitCode.NO_REASON, "--reason TEXT is missing"),
    ],
)
def test_what_can_not_be_is_refused_with_its_own_exit_code(reset_offsets, options, exit_code, words):
    assert words in refused(reset_offsets, exit_code, *options)


@pytest.mark.parametrize(
    ("topic", "exit_code"),
    [
        ("sample.nowhere", ExitCode.UNKNOWN_TOPIC),
        (f"{django_settings.SAMPLE_TOPIC}:77", ExitCode.UNKNOWN_PARTITION),
        (f"{django_settings.SAMPLE_TOPIC}:x", ExitCode.UNKNOWN_PARTITION),
    ],
)
def test_a_place_that_is_not_there_is_refused(reset_offsets, topic, exit_code):
    refused(reset_offsets, exit_code, "--from-earliest", topic=topic)


def test_a_group_that_is_there_already_is_not_touched(reset_offsets, write, group, key):
    handled(write, group, key, 1)

    assert "the group is there already" in reset_offsets("--to-latest", *EXECUTE)
    assert not OperatorAction.objects.exists()
