"""Foreign transactions: what is aborted, or still open, is not executed; and which end of the log counts where."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.conf import settings as django_settings
from kafka import TopicPartition

from messaging import end_offsets, positions_passed
from messaging.inbox import positions
from messaging.kafka.clients import reader as reading
from messaging.kafka.group_lag import group_lag
from messaging.models import ConsumerPosition, DeadLetterRow
from tests.journeys.foreign_client import ForeignClient
from tests.messaging.conftest import consumer_of
from tests.messaging.log import ends_of
from tests.messaging.replaying import EXECUTE, Replayer
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, is_applied, notes, offset_of, stop_reasons
from tests.messaging.test_reset_consumer_offsets import Reset, reset_offsets  # noqa: F401 - a fixture
from tests.messaging.threads import running
from tests.messaging.transactions import transaction
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

PARTITION = 0
PLACE = (django_settings.SAMPLE_TOPIC, PARTITION)


def note(key: str, number: int) -> NoteAdded:
    return NoteAdded(key=key, number=number)


def position(group: str) -> int:
    return positions.read(group, [PLACE])[PLACE]


def stable_end() -> int:
    with reading() as consumer:
        return consumer.end_offsets([TopicPartition(*PLACE)])[TopicPartition(*PLACE)]


def test_aborted_events_are_not_executed_and_committed_ones_are_in_order(write, consumer, key):
    with transaction(note(key, 0), note(key, 1), partition=PARTITION) as committed:
        committed.commit()
    with transaction(note(key, 13), note(f"{key}-aborted", 0), partition=PARTITION):
        write.events(note(key, 2), partition=PARTITION)
    with transaction(note(key, 14), NoteAdded(key=key, number=15, behaviour="bug"), partition=PARTITION):
        pass
    with transaction(note(key, 3), partition=PARTITION) as committed:
        committed.commit()
    write.events(note(key, 4), partition=PARTITION)

    eventually(lambda: is_applied(key, 5))
    assert applied(key) == applied(key, "batch") == [0, 1, 2, 3, 4]
    assert applied(f"{key}-aborted") == []
    assert not DeadLetterRow.objects.exists()


@pytest.mark.parametrize("ending", ["commit", "abort"])
def test_events_of_an_open_transaction_wait_for_its_end(write, consumer, key, ending):
    write.events(note(key, 0), partition=PARTITION)
    with transaction(note(key, 1), partition=PARTITION) as opened:
        write.events(note(key, 2), partition=PARTITION)
        write.events(*notes(f"{key}-other", 1), partition=1)
        eventually(lambda: is_applied(f"{key}-other", 1) and is_applied(key, 1))
        time.sleep(1.0)  # time enough to execute them, if they were read
        assert applied(key) == [0]

        getattr(opened, ending)()

        wanted = [0, 1, 2] if ending == "commit" else [0, 2]
        eventually(lambda: is_applied(key, len(wanted)))
        assert applied(key) == wanted


def test_the_end_counts_what_is_published_behind_an_open_transaction(write, group, consumer, key):
    """The deadline's guard asks: an answer that cannot be read yet must hold up the cancellation."""
    with transaction(note(key, 0), partition=PARTITION) as opened:
        write.events(note(key, 1), partition=PARTITION)
        write.events(*notes(f"{key}-other", 1), partition=1)
        ends = end_offsets([django_settings.SAMPLE_TOPIC])
        assert ends[PLACE] == stable_end() + 2
        eventually(lambda: is_applied(f"{key}-other", 1))
        assert not positions_passed(group, ends)

        opened.abort()

        eventually(lambda: positions_passed(group, ends))
        assert applied(key) == [1]


def test_a_partition_is_not_stopped_by_a_position_beyond_an_open_transaction(write, group, key):
    """So stands a worker of an earlier release, which executed them at once."""
    with transaction(note(key, 0), partition=PARTITION) as opened:
        ConsumerPosition.objects.filter(consumer_group=group, topic=PLACE[0], partition=PARTITION).update(
            next_offset=stable_end() + 1
        )
        write.events(note(key, 1), partition=PARTITION)
        with running(consumer_of(group)):
            write.events(*notes(f"{key}-other", 1), partition=1)
            eventually(lambda: is_applied(f"{key}-other", 1))
            assert stop_reasons(group) == []

            opened.abort()

            eventually(lambda: is_applied(key, 1))
    assert applied(key) == [1]


def test_a_replay_leaves_aborted_and_open_events_out(group, reader, write, key):
    replay = Replayer(group, reader, write)
    with transaction(note(key, 0), partition=PARTITION):
        pass
    replay.passed(note(key, 1))
    with transaction(note(key, 2), partition=PARTITION) as opened:
        replay.passed(note(key, 3))

        assert replay(*EXECUTE) == {"sample.NoteAdded.v1": (2, 0, 0)}  # once at each handler
        assert applied(key) == [1]

        opened.commit()

    assert replay(*EXECUTE) == {"sample.NoteAdded.v1": (4, 2, 0)}
    assert applied(key) == [1, 2, 3]


def test_a_group_is_moved_to_the_first_open_transaction_never_into_it(reset_offsets, write, group, key):  # noqa: F811
    reset: Reset = reset_offsets
    write.events(note(key, 0), partition=PARTITION)
    with transaction(note(key, 1), partition=PARTITION) as opened:
        reset("--to-latest", "--allow-skip", *EXECUTE)
        assert position(group) == stable_end()
        opened.commit()
    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, 1))
    assert applied(key) == [1]


def test_a_position_beyond_an_open_transaction_is_committed_to_kafka_again(reset_offsets, write, group, key):  # noqa: F811
    with transaction(note(key, 0), partition=PARTITION):
        beyond = stable_end() + 1
        ConsumerPosition.objects.filter(consumer_group=group, topic=PLACE[0], partition=PARTITION).update(
            next_offset=beyond
        )

        reset_offsets("--shift-by", "0", *EXECUTE)

        assert offset_of(group, PARTITION) == beyond


def test_partitions_are_not_added_while_a_transaction_is_open(write, group, consumer, key):
    """Its events, and those behind it, would be overtaken in the new partitions."""
    with transaction(note(key, 0), partition=PARTITION) as opened:
        write.events(note(key, 1), partition=PARTITION)
        write.events(*notes(f"{key}-other", 1), partition=1)
        eventually(lambda: is_applied(f"{key}-other", 1))
        eventually(lambda: group_lag(django_settings.SAMPLE_TOPIC).get(group) == 2)

        opened.abort()

        eventually(lambda: group_lag(django_settings.SAMPLE_TOPIC).get(group) == 0)


def test_a_busy_consumer_passes_the_marker_at_the_end_of_a_quiet_partition(write, group, key, monkeypatch):
    monkeypatch.setattr("messaging.consumer.loop.COMPARE_SECONDS", 0.5)
    consumer, empty = consumer_of(group), []
    with running(consumer), transaction(note(key, 0), partition=PARTITION) as opened:
        eventually(lambda: hasattr(consumer, "assignment") and len(consumer.assignment.at) == 6)
        poll = consumer._poll

        def busy() -> list[Any]:
            write.events(note(f"{key}-busy", 1), partition=1)
            batch = poll()
            empty.append(not batch)
            return batch

        consumer._poll = busy  # type: ignore[method-assign]
        opened.commit()
        ends = {PLACE: end_offsets([PLACE[0]])[PLACE]}

        eventually(lambda: positions_passed(group, ends), 30)
    assert not any(empty[2:])
    assert applied(key) == [0]


def test_the_journeys_client_reads_to_the_end_of_a_log_that_ends_with_an_aborted_event(write, key):
    client = ForeignClient(",".join(django_settings.MESSAGING["BOOTSTRAP_SERVERS"]))
    try:
        write.events(note(key, 0), partition=PARTITION)
        with transaction(note(key, 1), partition=PARTITION) as opened:
            assert [record.key for record in client.read(PLACE[0], key)] == [key]
            opened.abort()
            assert len(client.read(PLACE[0], key)) == 1
    finally:
        client.close()


def test_the_end_of_a_log_is_the_same_for_whoever_asks(reader, write, key):
    with transaction(note(key, 0), partition=PARTITION):
        assert end_offsets([django_settings.SAMPLE_TOPIC]) == ends_of(reader, django_settings.SAMPLE_TOPIC)
