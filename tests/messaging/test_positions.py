"""A partition goes on from our own position alone; where that can't be right, it stops and tells the operators."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.db import connection
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnknownTopicOrPartitionError
from kafka.structs import OffsetAndMetadata

from messaging import end_offsets, pause, positions_of
from messaging.inbox import lost_commits, positions
from messaging.models import ConsumerPosition
from tests.messaging.conftest import consumer_of
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import is_applied, notes, stop_reasons
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

PARTITION = 0
#: Of both topics together.
PARTITIONS = 6


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


def assert_nothing_goes_on(group, write, key, reason, *, right):
    """Every partition is stopped by what one of them shows, and goes on when that one is `right` again."""
    with running(consumer_of(group)):
        found = eventually(lambda: len(reasons := stop_reasons(group)) == PARTITIONS and reasons)
        assert all(lost_commits.LOST in each and reason in each for each in found)
        assert not lost_commits.parked_keys_may_run()
        write.events(*notes(key, 2), partition=PARTITION)
        write.events(*notes(f"{key}-other", 2), partition=1)
        time.sleep(1.0)  # time enough to handle them, if anything went on
        assert is_applied(key, 0) and is_applied(f"{key}-other", 0)

        row(group).update(next_offset=right)

        eventually(lambda: is_applied(key, 2) and is_applied(f"{key}-other", 2), 60)
        eventually(lambda: stop_reasons(group) == [])
        assert lost_commits.parked_keys_may_run()


def test_a_position_behind_the_groups_offset_stops_everything(group, write, key, offsets):
    write.events(*notes("before", 3), partition=PARTITION)
    commit(offsets, row(group).get().next_offset + 2)

    assert_nothing_goes_on(group, write, key, "was committed", right=row(group).get().next_offset + 2)


def test_a_group_offset_without_a_position_stops_everything_and_the_operators_see_it(group, write, key, offsets):
    right = row(group).get().next_offset
    commit(offsets, right)
    row(group).delete()

    assert_nothing_goes_on(group, write, key, "has no position", right=right)


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

        reasons = eventually(lambda: stop_reasons(group))
        assert "lost commits" in reasons[0]
        assert is_applied(f"{key}-later", 0)


def test_an_idle_consumer_notices_too(group, write, key, monkeypatch):
    monkeypatch.setattr("messaging.consumer.loop.COMPARE_SECONDS", 0.2)
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


def test_a_loss_stops_a_worker_that_has_other_partitions_too(group, write, key, offsets):
    right = row(group).get().next_offset + 2
    write.events(*notes("before", 2), partition=PARTITION)
    eventually(lambda: end_offsets([django_settings.SAMPLE_TOPIC])[django_settings.SAMPLE_TOPIC, PARTITION] >= right)
    commit(offsets, right)

    with running(consumer_of(group)) as one, running(consumer_of(group)) as two:
        eventually(lambda: all(hasattr(each, "assignment") and each.client.assignment() for each in (one, two)), 60)
        eventually(lambda: one.assignment.stopped and two.assignment.stopped, 60)
        for number in range(3):
            write.events(*notes(f"{key}-{number}", 1), partition=number)
        time.sleep(1.0)  # time enough to handle them, if one of the two went on
        assert [is_applied(f"{key}-{number}", 0) for number in range(3)] == [True] * 3

        row(group).update(next_offset=right)

        eventually(lambda: all(is_applied(f"{key}-{number}", 1) for number in range(3)), 60)


@pytest.mark.parametrize(
    ("at", "committed", "reason"),
    [
        (5, None, None),
        (None, None, None),
        (5, 5, None),
        (5, 3, None),
        (5, 6, "sample/0 is at 5, and 6 was committed"),
        (0, 1, "sample/0 is at 0, and 1 was committed"),
        (None, 4, "sample/0 has no position, and 4 was committed"),
        (None, 0, "sample/0 has no position, and 0 was committed"),
    ],
)
def test_the_rule_of_what_shows_that_commits_were_lost(at, committed, reason):
    found = lost_commits.reason("sample/0", at, committed)

    assert found is None if reason is None else reason in found


def end_sessions() -> None:
    """End every other session on the test's database, as a restart does that is over before anybody looks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


def test_a_database_that_was_exchanged_behind_a_silent_reconnect_is_noticed(group, write, key):
    with running(consumer_of(group)):
        write.events(*notes(key, 3), partition=PARTITION)
        write.events(*notes(f"{key}-other", 3), partition=1)
        eventually(lambda: is_applied(key, 3) and is_applied(f"{key}-other", 3))
        time.sleep(0.5)  # the offset is committed by then

        row(group).update(next_offset=0)
        end_sessions()
        write.events(*notes(f"{key}-later", 1), partition=1)

        eventually(lambda: len(stop_reasons(group)) == PARTITIONS)
        assert is_applied(f"{key}-later", 0)


def test_parked_keys_go_on_after_a_restart_that_nobody_noticed(group, write, key, monkeypatch):
    with running(consumer_of(group)):
        eventually(lost_commits.parked_keys_may_run)
        another = lost_commits.server_start() + timedelta(seconds=5)
        monkeypatch.setattr(lost_commits, "server_start", lambda: another)
        assert not lost_commits.parked_keys_may_run()

        end_sessions()

        eventually(lost_commits.parked_keys_may_run)
        write.events(*notes(key, 1))
        eventually(lambda: is_applied(key, 1))


def test_a_new_connection_lets_everything_be_compared_again(group, monkeypatch):
    """Django reconnects silently, maybe to another server: no error shows it."""
    consumer = consumer_of(group)
    assert consumer._join()
    try:
        eventually(lambda: consumer._step() or len(consumer.assignment.at) == PARTITIONS)
        another = lost_commits.server_start() + timedelta(seconds=5)
        monkeypatch.setattr(lost_commits, "server_start", lambda: another)
        assert not lost_commits.parked_keys_may_run()

        connection.close()
        consumer._step()

        assert lost_commits.parked_keys_may_run()
    finally:
        lost_commits.forget(consumer.worker)
        consumer.client.close(timeout_ms=5000)


def test_parked_keys_go_on_when_the_right_data_is_back_though_its_topic_is_paused(group, write, key):
    with running(consumer_of(group)):
        write.events(*notes(key, 3), partition=PARTITION)
        eventually(lambda: is_applied(key, 3))
        right = row(group).get().next_offset
        row(group).update(next_offset=0)
        write.events(*notes(f"{key}-later", 1), partition=PARTITION)
        eventually(lambda: stop_reasons(group))
        pause(django_settings.SAMPLE_TOPIC, actor="kim", reason="a test")

        row(group).update(next_offset=right)

        eventually(lambda: lost_commits.parked_keys_may_run(), 60)


def test_a_group_that_the_service_has_no_more_stops_nothing(group):
    ConsumerPosition.objects.create(
        consumer_group="renamed",
        topic="t",
        partition=0,
        next_offset=0,
        stopped_reason=f"{lost_commits.LOST}: yes",
    )

    assert lost_commits.parked_keys_may_run()


def test_a_partition_whose_group_has_forgotten_its_offset_begins_like_a_new_one(group):
    """It was stopped, having no position; then somebody deleted the offsets of the group."""
    row(group).update(next_offset=positions.NO_POSITION, stopped_reason="no position")

    with running(consumer_of(group)):
        eventually(lambda: row(group).get().next_offset >= 0)  # the log's start: whatever stands there is not ours


def test_another_group_of_the_service_that_is_stopped_so_stops_this_one_too(group, write, key, settings):
    settings.MESSAGING["GROUPS"]["another"] = []
    ConsumerPosition.objects.create(
        consumer_group="another", topic="t", partition=0, next_offset=0, stopped_reason=f"{lost_commits.LOST}: yes"
    )
    write.events(*notes(key, 1), partition=1)
    with running(consumer_of(group)):
        found = eventually(lambda: len(reasons := stop_reasons(group)) == PARTITIONS and reasons)
        assert {each.startswith("another group of this service") for each in found} == {True}
        assert is_applied(key, 0)

        ConsumerPosition.objects.filter(consumer_group="another").delete()

        eventually(lambda: is_applied(key, 1), 60)


def test_parked_keys_wait_until_the_consumer_of_their_process_has_looked_at_the_very_server(monkeypatch):
    lost_commits.record_compared("a consumer", None)
    try:
        assert not lost_commits.parked_keys_may_run()
        lost_commits.record_compared("a consumer", lost_commits.server_start())
        assert lost_commits.parked_keys_may_run()
        lost_commits.record_compared("a consumer", lost_commits.server_start() - timedelta(seconds=1))
        assert not lost_commits.parked_keys_may_run()
    finally:
        lost_commits.forget("a consumer")
    assert lost_commits.parked_keys_may_run()


def test_the_end_of_a_topic_that_the_broker_does_not_know_is_an_error_not_an_empty_answer():
    with pytest.raises(UnknownTopicOrPartitionError, match="no.such.topic"):
        end_offsets(["no.such.topic"])


def test_the_positions_of_a_topic_come_by_partition_with_the_reason_of_one_that_is_stopped():
    rows = {"consumer_group": "mine", "topic": "t"}
    ConsumerPosition.objects.create(**rows, partition=1, next_offset=-1, stopped_reason="unreadable")
    ConsumerPosition.objects.create(**rows, partition=0, next_offset=7)
    ConsumerPosition.objects.create(consumer_group="another", topic="t", partition=0, next_offset=9)
    ConsumerPosition.objects.create(consumer_group="mine", topic="u", partition=0, next_offset=9)

    assert positions_of("mine", "t") == [
        positions.Position(partition=0, next_offset=7, stopped_reason=None),
        positions.Position(partition=1, next_offset=-1, stopped_reason="unreadable"),
    ]
