"""Replay on the real log: only what was never applied is applied, in order, and the live path does not notice."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError
from django.db import connection, connections, transaction

from messaging.errors import ExitCode
from messaging.inbox import positions
from messaging.kafka.clients import group_consumer
from messaging.models import ConsumerPosition, InboxRow, OutboxRow, ReplayRun
from messaging.replay.run import LOCK_SPACE
from messaging.states import InboxState
from tests.messaging.log import answers, cut, ends_of
from tests.messaging.records import Record, record_of
from tests.messaging.replaying import EXECUTE, Replayer, State
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.sample.models import Applied
from tests.messaging.test_consumer import applied, broken, notes, offset_of

pytestmark = pytest.mark.django_db(transaction=True)

TYPE = "sample.NoteAdded.v1"
SINGLE, BATCH = "tests.on_note_added", "tests.on_note_added_batch"


@pytest.fixture
def replay(group, reader, write) -> Replayer:
    """Replays partition 0 from where this test began; what it writes was passed by the live consumer, unhandled."""
    return Replayer(group, reader, write)


def test_what_was_never_applied_is_applied_in_order_and_a_second_time_nothing_is(replay, key):
    replay.passed(*notes(key, 5))

    assert replay(*EXECUTE) == {TYPE: (10, 0, 0)}
    assert replay(*EXECUTE) == {TYPE: (0, 10, 0)}
    assert applied(key) == applied(key, "batch") == [0, 1, 2, 3, 4]
    assert OutboxRow.objects.filter(key=key).count() == 5
    assert InboxRow.objects.filter(key=key, state="done").count() == 10


def test_a_dry_run_counts_the_same_and_changes_nothing(replay, key):
    replay.passed(*notes(key, 3))
    before = State.now()

    dry = replay()

    assert "dry run: nothing was changed" in replay.said
    assert "would apply" in replay.said
    assert State.now() == before
    assert dry == replay(*EXECUTE) == {TYPE: (6, 0, 0)}


def test_one_id_of_two_sources_is_two_events_and_each_is_applied_once(replay, key):
    """Both sources' events were written twice, as by a client that was not sure."""
    records = [from_source(source, key, n) for n, source in enumerate(("/sample", "/abroad"))]
    replay.passed(*records, *records)

    assert replay() == replay(*EXECUTE) == {TYPE: (4, 4, 0)}
    assert replay(*EXECUTE) == {TYPE: (0, 8, 0)}
    assert applied(key) == applied(key, "batch") == [0, 1]


@pytest.mark.parametrize("source", ["/sample", "/abroad"])
def test_what_an_older_release_has_handled_is_not_applied_whatever_its_source(replay, key, source):
    record = from_source(source, key, 0)
    replay.passed(record)
    replay(*EXECUTE)
    InboxRow.objects.update(source=None)  # as that release left it
    replay.passed(record)

    assert replay(*EXECUTE) == {TYPE: (0, 4, 0)}
    assert applied(key) == applied(key, "batch") == [0]


def from_source(source: str, key: str, number: int) -> Record:
    """Return a note of a source, with the id that every source has."""
    record = record_of(NoteAdded(key=key, number=number), event_id="1")
    headers = [(name, source.encode() if name == "ce_source" else value) for name, value in record.headers]
    return replace(record, headers=headers)


@pytest.mark.parametrize("state", InboxState.values)
def test_an_event_that_was_seen_counts_as_done_whatever_became_of_it(replay, key, state):
    replay.passed(*notes(key, 2))
    replay(*EXECUTE)
    InboxRow.objects.filter(key=key).update(state=state)
    Applied.objects.all().delete()

    assert replay(*EXECUTE) == {TYPE: (0, 4, 0)}
    assert applied(key) == applied(key, "batch") == []


def test_each_handler_is_asked_for_itself(replay, key):
    replay.passed(*notes(key, 3))
    replay(*EXECUTE, "--handler", BATCH)

    assert replay(*EXECUTE) == {TYPE: (3, 3, 0)}
    assert applied(key) == applied(key, "batch") == [0, 1, 2]


def test_an_event_is_refused_when_its_handler_has_handled_a_later_one_of_its_key(replay, key):
    other = f"{key}-other"
    replay.passed(*notes(key, 3), *notes(other, 1))
    replay(*EXECUTE)
    first = InboxRow.objects.filter(key=key).order_by("offset")[0].offset
    InboxRow.objects.filter(key=key, offset=first, handler=SINGLE).delete()
    InboxRow.objects.filter(key=other).delete()
    Applied.objects.all().delete()

    assert replay(*EXECUTE) == {TYPE: (2, 5, 1)}
    assert "applying would reorder" in replay.said
    assert applied(key) == applied(key, "batch") == []
    assert applied(other) == applied(other, "batch") == [0]


def test_one_event_that_stands_in_the_range_several_times_is_applied_once(replay, key):
    same = record_of(NoteAdded(key=key, number=1))
    replay.passed(same, same, NoteAdded(key=key, number=2), same)

    assert replay() == replay(*EXECUTE) == {TYPE: (4, 4, 0)}
    assert applied(key) == applied(key, "batch") == [1, 2]


def test_it_ends_at_the_live_position_even_if_more_is_asked_for(replay, key):
    replay.passed(*notes(key, 2))
    replay.written(NoteAdded(key=key, number=2))

    assert replay(*EXECUTE) == {TYPE: (4, 0, 0)}
    assert replay(*EXECUTE, "--until-offset", str(replay.start + 3)) == {TYPE: (0, 4, 0)}
    assert applied(key) == [0, 1]


def test_the_live_position_and_the_groups_offset_stay_where_they_are(replay, group, key):
    replay.passed(*notes(key, 3))
    client = group_consumer(group)
    client.assign([replay.tp])
    client.seek(replay.tp, replay.start)
    client.commit()
    client.close()
    before = list(ConsumerPosition.objects.order_by("id").values())

    replay(*EXECUTE)

    assert list(ConsumerPosition.objects.order_by("id").values()) == before
    assert offset_of(group, 0) == replay.start


def test_only_the_key_the_handler_and_the_partition_that_are_asked_for(replay, key, reader):
    other = f"{key}-other"
    replay.passed(*notes(key, 2), *notes(other, 2))
    there = ends_of(reader, django_settings.SAMPLE_TOPIC)[(django_settings.SAMPLE_TOPIC, 1)]
    replay.passed(*notes(f"{key}-there", 1), partition=1)

    assert replay(*EXECUTE, "--key", key, "--handler", SINGLE) == {TYPE: (2, 0, 0)}
    assert (applied(key), applied(key, "batch"), applied(other)) == ([0, 1], [], [])

    assert replay(*EXECUTE) == {TYPE: (6, 2, 0)}
    assert applied(f"{key}-there") == []

    place = f"{django_settings.SAMPLE_TOPIC}:1"
    assert replay(*EXECUTE, place=place, start=f"--from-offset={there}") == {TYPE: (2, 0, 0)}
    assert applied(f"{key}-there") == applied(f"{key}-there", "batch") == [0]


def test_offsets_bound_the_range_and_the_end_is_left_out(replay, key):
    replay.passed(*notes(key, 4))
    start, stop = replay.start + 1, replay.start + 3

    replay(*EXECUTE, "--until-offset", str(stop), start=f"--from-offset={start}")

    assert applied(key) == [1, 2]
    assert f"{django_settings.SAMPLE_TOPIC}/0: offsets {start} to {stop - 1}" in replay.said


def test_datetimes_bound_the_range(replay, key):
    moments = []
    for number in range(3):
        moments.append(datetime.now(UTC).isoformat())
        time.sleep(0.02)
        replay.passed(NoteAdded(key=key, number=number))
        time.sleep(0.02)

    replay(*EXECUTE, "--until-datetime", moments[2], start=f"--from-datetime={moments[1]}")
    assert applied(key) == [1]

    replay(*EXECUTE, "--key", f"{key}-none", start=f"--from-datetime={moments[2].replace('+00:00', 'Z')}")
    assert f"/0: offsets {replay.start + 2} to {replay.start + 2}\n" in replay.said


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"place": "sample.evnts"}, ExitCode.UNKNOWN_TOPIC, "sample has no handler for topic 'sample.evnts'; it reads"),
        ({"place": "{topic}:77"}, ExitCode.UNKNOWN_PARTITION, "has partitions [0, 1, 2], not [77]"),
        ({"place": "{topic}:one"}, ExitCode.UNKNOWN_PARTITION, "'one' is not a list of partition numbers such as 0,2"),
        ({"start": "--from-offset=1000000"}, ExitCode.NOTHING_FOUND, "the range is empty"),
        ({"start": "--from-datetime=2099-01-01T00:00:00Z"}, ExitCode.NOTHING_FOUND, "the range is empty"),
        ({"start": "--from-datetime=2026-01-01T00:00:00"}, ExitCode.NO_ZONE, "write it with one: 2026-01-01T00:00:00Z"),
        ({"more": ("--until-datetime", "2026-01-01")}, ExitCode.NO_ZONE, "2026-01-01T00:00:00 has no zone"),
        ({"start": "--from-offset=-1"}, ExitCode.BEFORE_LOG_START, "is before the start of"),
        ({"more": ("--execute",)}, ExitCode.NO_REASON, "--execute needs --reason TEXT"),
        ({"more": ("--execute", "--reason", "  ")}, ExitCode.NO_REASON, "--execute needs --reason TEXT"),
        (
            {"more": ("--handler", "sample.nobody")},
            ExitCode.UNKNOWN_NAME,
            f"no handler 'sample.nobody'; there are {SINGLE}",
        ),
    ],
)
def test_what_can_not_be_run_as_asked_is_refused_with_its_own_exit_code(replay, key, options, code, message):
    replay.passed(*notes(key, 1))
    place = options.pop("place", replay.place).format(topic=django_settings.SAMPLE_TOPIC)

    with pytest.raises(CommandError) as refused:
        replay(*options.pop("more", ()), place=place, **options)

    assert refused.value.returncode == code
    assert message in str(refused.value)
    assert not ReplayRun.objects.exists()


def test_a_topic_that_is_read_but_not_there_is_told(replay, settings):
    settings.MESSAGING = {**settings.MESSAGING, "GROUPS": {"sample": ["sample.nowhere"]}}

    with pytest.raises(CommandError, match="'sample.nowhere' does not exist on the broker") as refused:
        replay(place="sample.nowhere", start="--from-earliest")

    assert refused.value.returncode == ExitCode.UNKNOWN_TOPIC


def test_a_topic_is_replayed_by_one_at_a_time(replay, key):
    replay.passed(*notes(key, 1))
    other = connections.create_connection("default")
    assert is_locked_by(other)

    with pytest.raises(CommandError, match="another replay of .* is running") as refused:
        replay(*EXECUTE)
    with other.cursor() as cursor:  # a closed session may keep its locks for a moment
        cursor.execute("SELECT pg_advisory_unlock_all()")

    assert refused.value.returncode == ExitCode.BUSY
    assert not ReplayRun.objects.exists()
    assert replay(*EXECUTE) == {TYPE: (2, 0, 0)}
    assert is_locked_by(other), "the replay before has kept its lock"
    other.close()


def is_locked_by(other) -> bool:
    """Take the topic's replay lock on another connection; False when somebody holds it."""
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [LOCK_SPACE, django_settings.SAMPLE_TOPIC])
        return bool(cursor.fetchone()[0])


def test_it_waits_for_the_live_consumers_lock(replay, group, key):
    replay.passed(*notes(key, 1))

    def run() -> None:
        replay(*EXECUTE)
        connection.close()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        positions.lock(group, [(django_settings.SAMPLE_TOPIC, 0)])
        thread.start()
        thread.join(1)
        assert thread.is_alive()
        assert applied(key) == []
    thread.join(10)

    assert applied(key) == applied(key, "batch") == [0]


def test_who_replayed_what_and_why_is_kept(replay, key):
    replay.passed(*notes(key, 2))
    replay("--execute", "--reason", "  the 14:00 incident  ")

    run = ReplayRun.objects.get()
    assert (run.topic, run.reason) == (django_settings.SAMPLE_TOPIC, "the 14:00 incident")
    assert run.ranges == {f"{django_settings.SAMPLE_TOPIC}/0": [replay.start, replay.start + 2]}
    assert run.result == {"applied": {TYPE: 4}, "done": {}, "refused": {}, "passed_over": {}}
    assert run.actor
    assert run.started_at <= run.finished_at


def test_a_user_without_a_name_can_replay(replay, key, monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr("getpass.getuser", nameless)
    replay.passed(*notes(key, 1))
    replay("--execute", "--reason", "in a container")

    assert ReplayRun.objects.get().actor == f"uid {os.getuid()}"


def test_a_failing_handler_gives_its_failure_answer_and_the_others_go_on(replay, key, log, relay):
    replay.passed(*notes(key, 1), NoteAdded(key=key, number=1, behaviour="bug"), NoteAdded(key=key, number=2))

    assert replay(*EXECUTE) == {TYPE: (6, 0, 0)}
    assert applied(key) == [0, 2]
    assert applied(key, "batch") == [0, 1, 2]
    assert InboxRow.objects.get(key=key, state="exhausted").handler == SINGLE
    replay.wait_sent()
    assert answers(log.records(), key) == ["applied", "exhausted", "applied"]


def test_a_failing_handler_parks_its_key_and_the_replay_goes_on(replay, key, monkeypatch):
    monkeypatch.setitem(handlers.batch_behaviours, "broken", broken)
    replay.passed(*notes(key, 1), NoteAdded(key=key, number=1, behaviour="broken"), NoteAdded(key=key, number=2))
    replay.passed(*notes(f"{key}-other", 1))

    assert replay(*EXECUTE) == {TYPE: (8, 0, 0)}
    assert applied(key, "batch") == [0]
    assert applied(f"{key}-other", "batch") == [0]
    assert list(InboxRow.objects.filter(key=key, raw__isnull=False).values_list("state", flat=True)) == [
        "dead",
        "waiting",
        "waiting",
    ]


def test_what_can_not_be_read_or_is_nobodys_is_counted_and_passed(replay, key):
    unreadable = Record(key=key.encode(), headers=[("ce_type", TYPE.encode())])
    nobodys = Record(key=key.encode(), headers=[("ce_type", b"abroad.Thing.v1")])
    replay.passed(unreadable, nobodys, *notes(key, 1))

    assert replay(*EXECUTE) == {TYPE: (2, 0, 0), "(undecodable)": (0, 0, 0), "(no handler here)": (0, 0, 0)}
    assert ReplayRun.objects.get().result["passed_over"] == {"(undecodable)": 1, "(no handler here)": 1}


def test_the_whole_topic_is_replayed_from_its_start(replay, key, reader):
    cut(reader, django_settings.SAMPLE_TOPIC)  # what other tests wrote takes a minute
    for partition in range(3):
        replay.passed(*notes(f"{key}-{partition}", 1), partition=partition)

    replay(*EXECUTE, place=django_settings.SAMPLE_TOPIC, start="--from-earliest")

    assert [applied(f"{key}-{partition}") for partition in range(3)] == [[0], [0], [0]]
    ends = ends_of(reader, django_settings.SAMPLE_TOPIC)
    spans = {
        (place.rpartition("/")[0], int(place[-1])): span[1] for place, span in ReplayRun.objects.get().ranges.items()
    }
    assert spans == ends
