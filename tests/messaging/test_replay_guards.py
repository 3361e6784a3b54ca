"""Replay goes round none of the live consumer's guards: order over `repartition`, pauses, lost commits, positions."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError

from messaging.errors import ExitCode, RangeRefused
from messaging.inbox import lost_commits, positions
from messaging.kafka.clients import reader as own_reader
from messaging.kafka.records import newest_partition
from messaging.models import InboxRow, Pause
from messaging.parking import pauses
from messaging.replay.plan import ReplayRequest, plan_of
from messaging.replay.run import ReplayOutcome
from messaging.replay.run import replay as run_replay
from tests.messaging.log import ends_of
from tests.messaging.replaying import EXECUTE, Replayer
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, notes

pytestmark = pytest.mark.django_db(transaction=True)

TYPE = "sample.NoteAdded.v1"
SINGLE = "tests.on_note_added"
OLD, NEWEST = 0, 1


@pytest.fixture
def replay(group, reader, write) -> Replayer:
    """Replays partition 0 from where this test began; what it writes was passed by the live consumer, unhandled."""
    return Replayer(group, reader, write)


@pytest.fixture
def moved_key(key, reader) -> str:
    """A key whose events go to partition 1 now, and went to partition 0 before partitions were added."""
    count = len(reader.partitions_for_topic(django_settings.SAMPLE_TOPIC))
    return next(name for number in range(100) if newest_partition((name := f"{key}{number}").encode(), count) == NEWEST)


def newest_end(reader) -> int:
    return ends_of(reader, django_settings.SAMPLE_TOPIC)[(django_settings.SAMPLE_TOPIC, NEWEST)]


def in_newest(replay: Replayer, start: int) -> dict[str, tuple[int, int, int]]:
    return replay(*EXECUTE, place=f"{django_settings.SAMPLE_TOPIC}:{NEWEST}", start=f"--from-offset={start}")


def test_kafka_sends_a_key_where_we_say(moved_key, reader, write):
    start = newest_end(reader)
    write.events(NoteAdded(key=moved_key, number=0))

    assert newest_end(reader) == start + 1


def test_an_event_from_before_partitions_were_added_is_refused_after_later_effects(replay, reader, moved_key):
    start = newest_end(reader)
    replay.passed(NoteAdded(key=moved_key, number=0), partition=OLD)
    replay.passed(NoteAdded(key=moved_key, number=1), partition=NEWEST)

    assert in_newest(replay, start) == {TYPE: (2, 0, 0)}
    assert replay(*EXECUTE) == {TYPE: (0, 0, 2)}
    assert applied(moved_key) == applied(moved_key, "batch") == [1]


def test_an_event_from_after_partitions_were_added_follows_those_from_before(replay, reader, moved_key):
    start = newest_end(reader)
    replay.passed(NoteAdded(key=moved_key, number=0), partition=OLD)
    replay.passed(NoteAdded(key=moved_key, number=1), partition=NEWEST)

    assert replay(*EXECUTE) == in_newest(replay, start) == {TYPE: (2, 0, 0)}
    assert applied(moved_key) == applied(moved_key, "batch") == [0, 1]


@pytest.mark.parametrize("name", [SINGLE, "topic"])
def test_what_is_paused_is_not_applied(replay, key, name):
    replay.passed(*notes(key, 2))
    pauses.insert(django_settings.SAMPLE_TOPIC if name == "topic" else name, reason="a test", actor="me")

    with pytest.raises(CommandError, match="paused") as refusal:
        replay(*EXECUTE)

    assert refusal.value.returncode == ExitCode.REFUSED
    assert applied(key) == applied(key, "batch") == []
    assert replay() == {TYPE: (4, 0, 0)}
    Pause.objects.all().delete()
    assert replay(*EXECUTE) == {TYPE: (4, 0, 0)}


def test_a_handler_that_fails_alike_at_one_key_after_the_other_stops_the_replay(replay, key, settings):
    settings.MESSAGING = {**settings.MESSAGING, "FUSE_EVENTS": 5}
    replay.passed(*[NoteAdded(key=f"{key}{number}", number=number, behaviour="bug") for number in range(8)])

    with pytest.raises(CommandError, match="paused"):
        replay(*EXECUTE)

    assert Pause.objects.get().actor == "fuse"
    assert InboxRow.objects.filter(handler=SINGLE, state="exhausted").count() == 5
    assert not InboxRow.objects.filter(key=f"{key}7").exists()


def test_a_service_that_lost_commits_applies_nothing(replay, group, key):
    replay.passed(*notes(key, 2))
    positions.stop(group, (django_settings.SAMPLE_TOPIC, 2), f"{lost_commits.LOST}: a test")

    with pytest.raises(CommandError, match=lost_commits.LOST) as refusal:
        replay(*EXECUTE)

    assert refusal.value.returncode == ExitCode.REFUSED
    assert applied(key) == applied(key, "batch") == []


def test_what_the_live_consumer_will_read_again_is_left_to_it(replay, group, key):
    replay.passed(*notes(key, 2))
    request = ReplayRequest(topic=django_settings.SAMPLE_TOPIC, partitions=(0,), from_offset=replay.start)
    with own_reader() as consumer:
        plan = plan_of(request, consumer)
        positions.move(group, {(django_settings.SAMPLE_TOPIC, 0): replay.start})
        with pytest.raises(RangeRefused, match="moved it back") as refusal:
            run_replay(plan, consumer, ReplayOutcome(), execute=True, progress=lambda passed: None)

    assert refusal.value.exit_code == ExitCode.INCOMPLETE
    assert applied(key) == applied(key, "batch") == []
