"""What shows that the database lost commits outlives the worker that saw it; every worker of the service heeds it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from kafka import TopicPartition

from messaging.consumer.batch import handle_batch
from messaging.consumer.offset_commits import OffsetCommits
from messaging.errors import PositionMoved
from messaging.inbox import lost_commits, positions
from messaging.models import ConsumerPosition
from tests.messaging.conftest import consumer_of
from tests.messaging.records import fetched, record_of
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import is_applied, notes, stop_reasons
from tests.messaging.test_positions import PARTITION, PARTITIONS, row
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def without_commits(monkeypatch) -> None:
    """Kafka learns nothing: the database fails over within the time that a commit takes."""
    monkeypatch.setattr(OffsetCommits, "commit", lambda *_, **__: None)


def lose_commits(group, write, key) -> int:
    """Let a worker handle three events, lose them, and notice. Return where the position was."""
    before = row(group).get().next_offset
    with running(consumer_of(group)):
        write.events(*notes(key, 3), partition=PARTITION)
        eventually(lambda: is_applied(key, 3))
        reached = row(group).get().next_offset
        row(group).update(next_offset=before)
        write.events(*notes(f"{key}-noticed", 1), partition=PARTITION)
        eventually(lambda: len(stop_reasons(group)) == PARTITIONS)
    return reached


def test_a_later_worker_finds_a_loss_that_kafka_does_not_know(group, write, key, without_commits):
    reached = lose_commits(group, write, key)

    with running(consumer_of(group)):
        write.events(*notes(f"{key}-other", 1), partition=1)
        time.sleep(1.5)  # time enough to look twice, and to handle it
        assert is_applied(f"{key}-other", 0)
        assert {f"but its group had reached {reached}" in reason for reason in stop_reasons(group)} == {True}
        assert len(stop_reasons(group)) == PARTITIONS
        assert not lost_commits.parked_keys_may_run()

        row(group).update(next_offset=reached)

        eventually(lambda: is_applied(f"{key}-other", 1) and stop_reasons(group) == [], 60)
        eventually(lambda: is_applied(f"{key}-noticed", 1))
    assert row(group).get().lost_until is None


def test_an_operator_accepts_a_loss_that_only_the_row_knows(group, write, key, without_commits):
    lose_commits(group, write, key)
    command = ("reset_consumer_offsets", f"{django_settings.SAMPLE_TOPIC}:{PARTITION}", "--shift-by", "0")

    call_command(*command, "--accept-lost-commits", "--execute", "--reason", "INC-1", stdout=StringIO())

    assert row(group).get().lost_until is None
    with running(consumer_of(group)):
        write.events(*notes(f"{key}-other", 1), partition=1)
        eventually(lambda: is_applied(f"{key}-other", 1))
        eventually(lambda: stop_reasons(group) == [])


def test_a_worker_without_the_partition_handles_no_further_batch(group):
    batch = [fetched(group, record_of(NoteAdded(key="k", number=0)), partition=1)]
    place = (django_settings.SAMPLE_TOPIC, PARTITION)

    positions.keep_loss(group, {place: row(group).get().next_offset + 1})

    with pytest.raises(PositionMoved):
        handle_batch(group, batch)
    row(group).update(next_offset=row(group).get().next_offset + 1)
    handle_batch(group, batch)


def test_a_worker_that_finds_nothing_clears_no_other_workers_stop(group):
    stopped = {"stopped_reason": f"{lost_commits.LOST}: sample/0", "stopped_at": datetime.now(UTC)}
    ConsumerPosition.objects.filter(consumer_group=group).update(**stopped)
    positions.keep_loss(group, {("unread", 0): 5})

    lost_commits.clear(group)
    assert len(stop_reasons(group)) == PARTITIONS

    ConsumerPosition.objects.filter(topic="unread").delete()
    lost_commits.clear(group)
    assert stop_reasons(group) == []


def test_the_largest_loss_is_kept(group):
    place = (django_settings.SAMPLE_TOPIC, PARTITION)
    for offset in (5, 9, 7):
        positions.keep_loss(group, {place: row(group).get().next_offset + offset})

    assert row(group).get().lost_until == row(group).get().next_offset + 9


def test_a_poll_ends_when_an_offset_is_to_be_committed(monkeypatch):
    commits = OffsetCommits()
    assert commits.poll_ms(500) == 500

    commits.uncommitted[TopicPartition("t", 0)] = 1
    assert 0 < commits.poll_ms(500) <= 201
    assert commits.poll_ms(100) == 100
    monkeypatch.setattr("messaging.consumer.offset_commits.COMMIT_SECONDS", 0.0)
    assert commits.poll_ms(500) == 1


def test_kafka_learns_of_the_last_batch_soon(group, write, key, settings):
    settings.MESSAGING = {**settings.MESSAGING, "POLL_MS": 3000}
    with running(consumer_of(group)) as consumer:
        for number in range(3):
            write.events(NoteAdded(key=key, number=number), partition=PARTITION)
            eventually(lambda number=number: is_applied(key, number + 1))
        eventually(lambda: not consumer._commits.uncommitted, 1.5)
