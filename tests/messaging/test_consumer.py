"""The consumer on real Kafka: failures stay where they are, outages are waited out, a rebalance doubles nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection
from kafka import KafkaAdminClient, TopicPartition

from messaging.models import ConsumerPosition, DeadLetterRow, InboxRow
from tests.messaging.conftest import consumer_of
from tests.messaging.records import Record, record_of
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.sample.models import Applied
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

#: A partition to which no test writes what can't be read.
LAST = 2


def notes(key: str, count: int, behaviour: str = "") -> list[NoteAdded]:
    return [NoteAdded(key=key, number=number, behaviour=behaviour) for number in range(count)]


def applied(key: str, handler: str = "single") -> list[int]:
    rows = Applied.objects.filter(handler=handler, key=key).order_by("id")
    return list(rows.values_list("number", flat=True))


def is_applied(key: str, count: int) -> bool:
    return len(applied(key)) == len(applied(key, "batch")) == count


def stop_reasons(group: str) -> list[str]:
    rows = ConsumerPosition.objects.filter(consumer_group=group, stopped_reason__isnull=False)
    return [str(reason) for reason in rows.values_list("stopped_reason", flat=True)]


def test_events_are_applied_in_the_order_of_the_log(write, consumer, key):
    write.events(*notes(f"{key}-a", 100), *notes(f"{key}-b", 100))

    eventually(lambda: is_applied(f"{key}-a", 100) and is_applied(f"{key}-b", 100))
    assert applied(f"{key}-a") == applied(f"{key}-a", "batch") == list(range(100))
    assert max(map(len, handlers.batches)) > 1


def test_an_event_that_stands_in_the_log_a_hundred_times_has_one_effect(write, consumer, key):
    same = record_of(NoteAdded(key=key, number=1))

    for _ in range(10):
        write.records(*[same] * 10)
    write.events(NoteAdded(key=key, number=2))

    eventually(lambda: is_applied(key, 2))
    assert applied(key) == applied(key, "batch") == [1, 2]


def test_a_record_in_another_partition_than_its_keys_is_handled_all_the_same(write, consumer, key):
    for partition in range(3):
        write.events(NoteAdded(key=key, number=partition), partition=partition)

    eventually(lambda: is_applied(key, 3))


def test_a_batch_with_a_failing_event_is_taken_event_by_event(write, consumer, key):
    write.events(*notes(key, 5), NoteAdded(key=key, number=5, behaviour="bug"), *notes(f"{key}-after", 5))

    eventually(lambda: is_applied(f"{key}-after", 5) and len(applied(key, "batch")) == 6)
    assert applied(key) == [0, 1, 2, 3, 4]
    assert InboxRow.objects.get(key=key, state="exhausted").attempts == 3
    assert stop_reasons(consumer.group) == []


def test_a_bug_parks_its_key_alone_and_everything_else_goes_on(write, consumer, key, monkeypatch):
    monkeypatch.setitem(handlers.batch_behaviours, "broken", broken)
    write.events(NoteAdded(key=key, number=1), NoteAdded(key=key, number=2, behaviour="broken"), partition=0)
    write.events(NoteAdded(key=key, number=3), *notes(f"{key}-beside", 3), partition=0)
    write.events(*notes(f"{key}-other", 3), partition=1)

    eventually(lambda: is_applied(f"{key}-other", 3) and is_applied(f"{key}-beside", 3))
    assert applied(key, "batch") == [1]
    assert DeadLetterRow.objects.get().attempts == 3
    assert stop_reasons(consumer.group) == []


def broken() -> None:
    raise ZeroDivisionError("a bug in a handler that has no failure answer")


def test_what_the_library_itself_cannot_go_on_with_stops_its_partition_until_the_cause_is_gone(
    write, consumer, key, monkeypatch
):
    from messaging.consumer import one_by_one

    real = one_by_one.apply_one_by_one

    def fails(group: str, item: Any, slow: Any = None) -> None:
        if item.record.key == key:
            raise LookupError("a bug in the library")
        real(group, item, slow)

    monkeypatch.setattr(one_by_one, "apply_one_by_one", fails)
    monkeypatch.setattr("messaging.consumer.loop.handle_batch", lambda group, batch: fails_together())
    write.events(NoteAdded(key=key, number=1), partition=0)
    [reason] = eventually(lambda: stop_reasons(consumer.group))
    write.events(*notes(f"{key}-other", 3), partition=1)

    eventually(lambda: is_applied(f"{key}-other", 3))
    assert "a bug in the library" in reason
    assert applied(key) == []

    monkeypatch.setattr(one_by_one, "apply_one_by_one", real)
    eventually(lambda: is_applied(key, 1))
    eventually(lambda: stop_reasons(consumer.group) == [])


def fails_together() -> None:
    raise LookupError("a bug in the library")


@pytest.mark.parametrize("value", [b"\xff\x00 random bytes", b""])
def test_a_record_that_cannot_be_read_is_a_dead_letter_and_holds_up_nobody(write, consumer, key, value):
    write.records(Record(key=key.encode(), value=value, headers=[("x", b"\xff")]), partition=0)
    write.events(*notes(f"{key}-beside", 3), partition=0)

    eventually(lambda: is_applied(f"{key}-beside", 3))
    letter = DeadLetterRow.objects.get()
    assert (letter.reason, letter.handler, letter.key) == ("undecodable", "-", key)
    assert letter.event_id == f"{letter.topic}/{letter.partition}/{letter.offset}"
    assert stop_reasons(consumer.group) == []


def test_a_lost_connection_counts_no_attempt_and_the_event_is_applied_once(write, consumer, key, monkeypatch):
    calls: list[int] = []

    def cut_twice(event: NoteAdded, context: Any) -> None:
        calls.append(context.attempt)
        if len(calls) <= 2:
            handlers.cut_the_connection()

    monkeypatch.setitem(handlers.behaviours, "outage", cut_twice)

    write.events(NoteAdded(key=key, number=1, behaviour="outage"), NoteAdded(key=key, number=2))

    eventually(lambda: is_applied(key, 2))
    assert calls == [1, 1, 1]
    assert set(InboxRow.objects.filter(key=key).values_list("state", "attempts")) == {("done", 1)}


class Deadlock(Exception):
    """Stands in for psycopg2's error."""

    pgcode = "40P01"


def test_a_deadlock_in_a_batch_is_gone_at_the_next_try(write, consumer, key, monkeypatch):
    calls: list[None] = []

    def deadlock_once() -> None:
        calls.append(None)
        if len(calls) == 1:
            raise OperationalError("deadlock detected") from Deadlock()

    monkeypatch.setitem(handlers.batch_behaviours, "deadlock", deadlock_once)

    write.events(NoteAdded(key=key, number=1, behaviour="deadlock"), NoteAdded(key=key, number=2))

    eventually(lambda: is_applied(key, 2))
    assert len(calls) == 2


def test_events_taken_singly_for_too_long_are_interrupted_by_a_poll_and_none_is_lost(write, consumer, key, monkeypatch):
    monkeypatch.setattr("messaging.consumer.loop.ONE_BY_ONE_SECONDS", 0.05)
    write.events(*notes(key, 10, "bug"), NoteAdded(key=key, number=10))

    eventually(lambda: InboxRow.objects.filter(key=key, state="exhausted").count() == 10)
    eventually(lambda: applied(key) == [10])
    assert applied(key, "batch") == list(range(11))


def test_kafka_is_told_of_the_position_after_the_database(write, consumer, key):
    write.events(*notes(key, 10), partition=0)
    eventually(lambda: is_applied(key, 10))
    place = {"consumer_group": consumer.group, "topic": django_settings.SAMPLE_TOPIC, "partition": 0}
    position = ConsumerPosition.objects.get(**place).next_offset

    eventually(lambda: offset_of(consumer.group, 0) == position)


def offset_of(group: str, partition: int) -> int | None:
    """Return the group's own offset, None before its first commit."""
    client = KafkaAdminClient(bootstrap_servers=django_settings.MESSAGING["BOOTSTRAP_SERVERS"])
    try:
        found = client.list_group_offsets([group])[group].get(TopicPartition(django_settings.SAMPLE_TOPIC, partition))
        return found and int(found.offset)
    finally:
        client.close()


def test_a_new_group_begins_at_the_start_of_the_log(write, group, key):
    write.events(*notes(key, 3), partition=LAST)
    ConsumerPosition.objects.filter(consumer_group=group).delete()

    with running(consumer_of(group)):
        eventually(lambda: is_applied(key, 3))

    assert ConsumerPosition.objects.filter(consumer_group=group).count() == 6


def test_two_consumers_with_rebalances_under_load_apply_everything_once_and_in_order(write, group, key):
    keys = [f"{key}-{number}" for number in range(10)]

    def load(first: int) -> None:
        for number in range(first, first + 20):
            write.events(*[NoteAdded(key=each, number=number) for each in keys])

    with running(consumer_of(group)):
        load(0)
        with running(consumer_of(group)):
            load(20)
            time.sleep(0.5)
            load(40)
        load(60)
        eventually(lambda: Applied.objects.count() >= 2 * 80 * len(keys), 40)

    for each in keys:
        assert applied(each) == applied(each, "batch") == list(range(80))


def test_a_stopped_consumer_leaves_the_group_and_no_connection(write, group, key):
    with running(consumer_of(group)):
        write.events(*notes(key, 1))
        eventually(lambda: is_applied(key, 1))

    began = time.monotonic()
    with running(consumer_of(group)):
        write.events(*notes(f"{key}-next", 1))
        eventually(lambda: is_applied(f"{key}-next", 1))
    assert time.monotonic() - began < 6
    eventually(lambda: other_connections() == 0)


def other_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name LIKE '%:app'"
        )
        return int(cursor.fetchone()[0])
