"""A partition goes on from our own position alone; where that can't be right, it stops and tells the operators."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnknownTopicOrPartitionError
from kafka.structs import OffsetAndMetadata

from messaging import end_offsets, positions
from messaging.assignment import reason_to_stop
from messaging.models import ConsumerPosition
from tests.messaging.conftest import consumer_of
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import is_applied, notes, stop_reasons
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

PARTITION = 0


@pytest.fixture
def offsets(group: str) -> Iterator[KafkaConsumer]:
    """Moves the group's own offsets, as nobody should."""
    consumer = KafkaConsumer(
        bootstrap_servers=django_settings.MESSAGING["BOOTSTRAP_SERVERS"], group_id=group, enable_auto_commit=False
    )
    consumer.assign([TopicPartition(django_settings.SAMPLE_TOPIC, PARTITION)])
    yield consumer
    consumer.close()


def commit(consumer: KafkaConsumer, offset: int) -> None:
    tp = TopicPartition(django_settings.SAMPLE_TOPIC, PARTITION)
    consumer.commit({tp: OffsetAndMetadata(offset, "", -1)})


def row(group: str):
    return ConsumerPosition.objects.filter(
        consumer_group=group, topic=django_settings.SAMPLE_TOPIC, partition=PARTITION
    )


def assert_stopped_and_others_go_on(group, write, key, reason):
    with running(consumer_of(group)):
        [found] = eventually(lambda: stop_reasons(group))
        assert reason in found
        write.events(*notes(key, 2), partition=PARTITION)
        write.events(*notes(f"{key}-other", 2), partition=1)
        eventually(lambda: is_applied(f"{key}-other", 2))
        assert is_applied(key, 0)


def test_a_position_behind_the_groups_offset_stops_the_partition(group, write, key, offsets):
    write.events(*notes("before", 3), partition=PARTITION)
    commit(offsets, row(group).get().next_offset + 2)

    assert_stopped_and_others_go_on(group, write, key, "lost commits")


def test_a_group_offset_without_a_position_stops_the_partition_and_the_operators_see_it(group, write, key, offsets):
    commit(offsets, row(group).get().next_offset)
    row(group).delete()

    assert_stopped_and_others_go_on(group, write, key, "has no position")

    assert row(group).get().next_offset == positions.NO_POSITION


def test_a_position_after_the_end_of_the_log_stops_the_partition(group, write, key):
    row(group).update(next_offset=row(group).get().next_offset + 1000)

    assert_stopped_and_others_go_on(group, write, key, "outside the log")


def test_a_position_that_falls_out_of_the_log_while_the_consumer_runs_stops_the_partition(group, write, key):
    consumer = consumer_of(group)
    with running(consumer):
        write.events(*notes(key, 1), partition=PARTITION)
        eventually(lambda: is_applied(key, 1))

        consumer.client.seek(TopicPartition(django_settings.SAMPLE_TOPIC, PARTITION), 10**9)

        [reason] = eventually(lambda: stop_reasons(group))
        assert "outside the log" in reason
        write.events(*notes(key, 3)[1:], partition=PARTITION)
        eventually(lambda: is_applied(key, 3))


def test_a_position_that_is_set_right_lets_the_partition_go_on_without_a_restart(group, write, key):
    right = row(group).get().next_offset
    row(group).update(next_offset=right + 1000)
    with running(consumer_of(group)):
        eventually(lambda: stop_reasons(group))

        row(group).update(next_offset=right)

        eventually(lambda: stop_reasons(group) == [])
        write.events(*notes(key, 2), partition=PARTITION)
        eventually(lambda: is_applied(key, 2))


def test_a_database_that_lost_commits_while_the_consumer_runs_stops_the_partition(group, write, key):
    before = row(group).get().next_offset
    with running(consumer_of(group)):
        write.events(*notes(key, 3), partition=PARTITION)
        eventually(lambda: is_applied(key, 3))

        row(group).update(next_offset=before)
        write.events(*notes(f"{key}-later", 1), partition=PARTITION)

        [reason] = eventually(lambda: stop_reasons(group))
        assert "lost commits" in reason
        assert is_applied(f"{key}-later", 0)


def test_an_idle_consumer_notices_too(group, write, key, monkeypatch):
    monkeypatch.setattr("messaging.consumer.COMPARE_SECONDS", 0.2)
    with running(consumer_of(group)):
        write.events(*notes(key, 3), partition=PARTITION)
        eventually(lambda: is_applied(key, 3))

        row(group).update(next_offset=0)

        assert eventually(lambda: stop_reasons(group))


def test_a_position_that_another_worker_moved_on_is_followed(group, write, key):
    with running(consumer_of(group)):
        write.events(*notes(key, 1), partition=PARTITION)
        eventually(lambda: is_applied(key, 1))
        write.events(NoteAdded(key=f"{key}-skipped", number=1), partition=1)
        eventually(lambda: is_applied(f"{key}-skipped", 1))

    position = row(group).get().next_offset
    write.events(*notes(f"{key}-taken", 1), partition=PARTITION)
    row(group).update(next_offset=position + 1)
    with running(consumer_of(group)):
        write.events(*notes(f"{key}-next", 1), partition=PARTITION)
        eventually(lambda: is_applied(f"{key}-next", 1))
    assert is_applied(f"{key}-taken", 0)


@pytest.mark.parametrize(
    ("at", "offset", "committed", "begin", "end", "reason"),
    [
        (5, None, None, 0, 10, None),
        (5, 5, 5, 0, 10, None),
        (5, 3, 4, 5, 5, None),
        (5, 6, None, 0, 10, "behind 6"),
        (5, 3, 7, 0, 10, "behind 7"),
        (5, None, None, 6, 10, "outside the log"),
        (11, None, None, 0, 10, "outside the log"),
        (None, 4, None, 0, 10, "has no position"),
    ],
)
def test_the_rule_of_where_a_partition_may_go_on(at, offset, committed, begin, end, reason):
    found = reason_to_stop(at, offset, committed, begin, end)

    assert found is None if reason is None else reason in found


def test_the_end_of_a_topic_that_the_broker_does_not_know_is_an_error_not_an_empty_answer():
    with pytest.raises(UnknownTopicOrPartitionError, match="no.such.topic"):
        end_offsets(["no.such.topic"])
