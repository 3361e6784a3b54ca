"""A topic that was made again under its name, or a broker that lost records: the position is of another log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from kafka import TopicPartition
from kafka.errors import KafkaError

from messaging import end_offsets, positions_passed
from messaging.errors import ExitCode, PositionMoved
from messaging.inbox import positions
from messaging.inbox.positions import Fetched
from messaging.kafka import clients
from messaging.kafka.topics import create_topics
from messaging.models import ConsumerPosition, OperatorAction, ParkedKey
from tests.messaging.broker import Broker
from tests.messaging.conftest import consumer_of
from tests.messaging.producing import Writer, writer
from tests.messaging.test_consumer import applied, is_applied, notes, stop_reasons
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

PARTITION = 0
TOPIC = django_settings.SAMPLE_TOPIC
PLACE = (TOPIC, PARTITION)
EXECUTE = ("--execute", "--reason", "a test")
LONG = 60


@pytest.fixture
def group(broker: Broker, key: str) -> str:
    """The group of the broker fixture, at the start of a log without a past: other tests use this broker too."""
    make_again()
    return key


@pytest.fixture
def write(broker: Broker) -> Iterator[Writer]:
    with writer() as writing:
        yield writing


def row(group: str) -> Any:
    return ConsumerPosition.objects.filter(consumer_group=group, topic=TOPIC, partition=PARTITION)


def reset(*options: str, place: str = f"{TOPIC}:{PARTITION}") -> str:
    out = StringIO()
    call_command("reset_consumer_offsets", place, *options, stdout=out)
    return out.getvalue()


def consume(group: str, *, until: Callable[[], Any]) -> None:
    with running(consumer_of(group)):
        eventually(until, LONG)


def make_again() -> None:
    """Delete the topic and make it again under its name."""
    with clients.admin() as client:
        client.delete_topics([TOPIC])
    eventually(lambda: TOPIC in create_topics(), LONG)


def assert_stays_stopped(group: str, key: str, reason: str) -> None:
    """The reason stays, and nothing of the key is applied, though the partition is tried again."""
    found = row(group).get().stopped_reason
    assert reason in found
    time.sleep(3.0)  # several tries
    assert applied(key) == []
    assert row(group).get().stopped_reason == found


def test_a_topic_made_again_stops_its_partitions_before_anything_is_passed(write, group, key):
    write.events(*notes(f"{key}-old", 3), partition=PARTITION)
    consume(group, until=lambda: is_applied(f"{key}-old", 3))
    assert row(group).get().topic_id is not None

    make_again()
    write.events(*notes(key, 9), partition=PARTITION)  # beyond the old position

    with running(consumer_of(group)):
        eventually(lambda: stop_reasons(group), LONG)
        assert_stays_stopped(group, key, "made again under its name")
    assert row(group).get().next_offset == 3

    said = reset("--from-earliest", *EXECUTE, place=TOPIC)

    assert "the log is another one from offset 0 on" in said
    assert OperatorAction.objects.get().reason == "a test"
    consume(group, until=lambda: is_applied(key, 9))
    assert stop_reasons(group) == []


def test_a_topic_made_again_under_a_running_consumer_stops_it_too(write, group, key):
    write.events(*notes(f"{key}-old", 2), partition=PARTITION)
    with running(consumer_of(group)):
        eventually(lambda: is_applied(f"{key}-old", 2), LONG)

        make_again()
        eventually(lambda: stop_reasons(group), LONG)
        write.events(*notes(key, 9), partition=PARTITION)

        assert_stays_stopped(group, key, "log")


def test_a_running_consumer_handles_nothing_of_a_log_whose_id_is_another(write, group, key, monkeypatch):
    write.events(*notes(f"{key}-old", 2), partition=PARTITION)
    consumer = consumer_of(group)
    with running(consumer):
        eventually(lambda: is_applied(f"{key}-old", 2), LONG)
        another = uuid4()
        # Not the ids that it keeps: the next metadata of the broker would replace them, before the record or after it.
        monkeypatch.setattr(consumer.client._cluster, "topic_id", lambda topic: another)
        write.events(*notes(key, 1), partition=PARTITION)

        eventually(lambda: stop_reasons(group), LONG)

    assert applied(key) == []
    assert "made again" in stop_reasons(group)[0]


def test_a_batch_of_the_old_log_finds_the_position_in_the_new_one(group):
    positions.create(group, {PLACE: 0})
    old, new = uuid4(), uuid4()
    positions.set_topics(group, {PLACE: new})

    positions.lock_and_compare(group, [])
    with pytest.raises(PositionMoved):
        positions.lock_and_compare(group, [Fetched(*PLACE, 0, 1, [], old)])


def test_what_must_be_passed_or_mixed_needs_consent(write, group, key):
    write.events(*notes(f"{key}-old", 3), partition=PARTITION)
    consume(group, until=lambda: is_applied(f"{key}-old", 3))
    make_again()
    write.events(*notes(key, 2), partition=PARTITION)

    with pytest.raises(CommandError, match="would pass 2 offsets") as refused:
        reset("--to-latest", *EXECUTE)
    assert refused.value.returncode == ExitCode.REFUSED

    ParkedKey.objects.create(topic=TOPIC, key=key, consumer_group=group, partition=PARTITION)
    with pytest.raises(CommandError, match="parked keys with events of the old one"):
        reset("--from-earliest", *EXECUTE)

    with pytest.raises(CommandError, match="another log") as refused:
        call_command("replay_topic", f"{TOPIC}:{PARTITION}", "--from-earliest")
    assert refused.value.returncode == ExitCode.OUTSIDE_LOG


def test_the_ends_of_a_topic_made_again_are_not_told_until_the_group_is_moved(write, group, key):
    """The deadline's guard compares them with our positions, which are of the old log."""
    write.events(*notes(f"{key}-old", 3), partition=PARTITION)
    consume(group, until=lambda: is_applied(f"{key}-old", 3))
    assert end_offsets([TOPIC])[PLACE] == row(group).get().next_offset

    make_again()
    write.events(*notes(key, 1), partition=PARTITION)
    assert end_offsets([TOPIC]) == {}

    reset("--from-earliest", *EXECUTE, place=TOPIC)
    ends = end_offsets([TOPIC])
    assert ends[PLACE] == 1
    assert not positions_passed(group, ends)
    consume(group, until=lambda: positions_passed(group, ends))


def snapshot(broker: Broker, copy: Path) -> None:
    """Copy the disk of the stopped broker."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(broker.node.directory, copy)


def start_later(broker: Broker) -> None:
    """Start the broker so often that its leader's epoch is newer than any before.

    On a busy machine a frozen broker is fenced, and leads again by a further epoch: the one with which a first start
    from the older disk would begin. Nothing distinguishes two logs with the same epoch (decision 22).
    """
    for _ in range(2):
        broker.start()
        eventually(has_leader, LONG)  # only then is the epoch a newer one
        broker.kill()
    broker.start()


def has_leader() -> bool:
    try:
        with clients.reader() as consumer:
            return bool(consumer.end_offsets([TopicPartition(*PLACE)]))
    except KafkaError:
        return False


def restore(broker: Broker, copy: Path) -> None:
    shutil.rmtree(broker.node.directory)
    shutil.copytree(copy, broker.node.directory)


def lose_records(broker: Broker, copy: Path, write: Writer, group: str, key: str) -> None:
    """Let the consumer handle two events, then two more, and let the broker come back with its disk of in between."""
    write.events(*notes(f"{key}-kept", 2), partition=PARTITION)
    consume(group, until=lambda: is_applied(f"{key}-kept", 2))
    broker.freeze()
    snapshot(broker, copy)
    broker.wake()
    write.events(*notes(f"{key}-lost", 2), partition=PARTITION)
    consume(group, until=lambda: is_applied(f"{key}-lost", 2))
    broker.kill()
    restore(broker, copy)
    start_later(broker)


def end() -> int:
    with clients.reader() as consumer:
        return int(consumer.end_offsets([TopicPartition(*PLACE)])[TopicPartition(*PLACE)])


def test_a_broker_with_its_disk_of_a_minute_ago_stops_the_partition(broker, write, group, key, tmp_path):
    lose_records(broker, tmp_path / "disk", write, group, key)
    at = row(group).get().next_offset
    assert eventually(end, LONG) == at - 2
    with writer() as another:  # the log grows past the position before a consumer looks
        another.events(*notes(key, 9), partition=PARTITION)
    assert end() == at + 7

    with running(consumer_of(group)):
        eventually(lambda: stop_reasons(group), LONG)
        assert_stays_stopped(group, key, f"since offset {at - 2}")

    said = reset("--from-offset", str(at - 2), *EXECUTE)

    assert "the log is another one from offset" in said
    consume(group, until=lambda: is_applied(key, 9))
    assert stop_reasons(group) == []


def test_a_running_consumer_notices_that_the_broker_lost_records(broker, write, group, key, tmp_path):
    write.events(*notes(f"{key}-kept", 2), partition=PARTITION)
    with running(consumer_of(group)):
        eventually(lambda: is_applied(f"{key}-kept", 2), LONG)
        broker.freeze()
        snapshot(broker, tmp_path / "disk")
        broker.wake()
        write.events(*notes(f"{key}-lost", 2), partition=PARTITION)
        eventually(lambda: is_applied(f"{key}-lost", 2), LONG)
        broker.kill()
        restore(broker, tmp_path / "disk")
        start_later(broker)
        with writer() as another:
            another.events(*notes(key, 9), partition=PARTITION)

        eventually(lambda: stop_reasons(group), LONG)
        assert_stays_stopped(group, key, "log")


def test_a_stop_outside_the_log_stays_when_the_log_has_grown(broker, write, group, key):
    write.events(*notes(f"{key}-old", 1), partition=PARTITION)
    consume(group, until=lambda: is_applied(f"{key}-old", 1))
    at = row(group).get().next_offset
    row(group).update(next_offset=at + 3)  # without its epoch: as a release before this one leaves it
    with running(consumer_of(group)):
        eventually(lambda: stop_reasons(group), LONG)
        write.events(*notes(key, 9), partition=PARTITION)

        assert_stays_stopped(group, key, "outside the log")

    consume(group, until=lambda: stop_reasons(group))  # nor does another worker
    assert_stays_stopped(group, key, "outside the log")
    with pytest.raises(CommandError, match="would pass 1 offsets"):  # nobody knows where the logs diverge
        reset("--from-offset", str(at), *EXECUTE)
    reset("--from-offset", str(at), "--allow-skip", *EXECUTE)
    consume(group, until=lambda: is_applied(key, 9))


def test_a_row_of_an_earlier_release_takes_the_first_log_that_is_seen(write, group, key):
    write.events(*notes(f"{key}-old", 1), partition=PARTITION)
    consume(group, until=lambda: is_applied(f"{key}-old", 1))
    known = row(group).get()
    row(group).update(topic_id=None, leader_epoch=None, epoch_offset=None)

    write.events(*notes(key, 1), partition=PARTITION)
    consume(group, until=lambda: is_applied(key, 1))

    found = row(group).get()
    assert (found.topic_id, found.leader_epoch) == (known.topic_id, known.leader_epoch)
    assert found.epoch_offset == found.next_offset


def test_the_epoch_of_a_position_that_an_earlier_release_moved_counts_for_nothing(group):
    positions.create(group, {PLACE: 0})
    positions.move(group, {PLACE: 7}, {PLACE: 4})
    assert positions.read_stored(group, [PLACE])[PLACE].leader_epoch == 4

    row(group).update(next_offset=9)

    assert positions.read_stored(group, [PLACE])[PLACE].leader_epoch == -1
