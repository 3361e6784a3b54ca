"""The relay: each key's earliest row first, one row of a key per round, and only what was acknowledged is deleted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction

from messaging import outbox_refusal, publish_all
from messaging.backoff import Backoff
from messaging.kafka.topic_sizes import SizeCheck
from messaging.models import OutboxRow
from messaging.outbox import sender
from messaging.outbox.relay import Relay
from messaging.worker import live_workers
from tests.messaging.log import Log, header
from tests.messaging.process import process
from tests.messaging.rows import envelope, publish_notes, put, waiting
from tests.messaging.sample.events import NoteClaimed
from tests.messaging.threads import running
from tests.messaging.topics import configure_topic, create_topic
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def by_hand(reader) -> Iterator[Relay]:
    """A relay that the test drives round by round."""
    relay = Relay()
    yield relay
    relay.stop()
    relay.run()


def test_a_round_sends_the_earliest_row_of_each_key_and_no_more(by_hand, key, log):
    a, b = f"{key}-a", f"{key}-b"
    publish_notes((a, 1), (a, 2), (b, 1), (a, 3))

    by_hand.round()

    assert waiting() == [(a, 2), (a, 3)]
    assert (log.numbers(a), log.numbers(b)) == ([1], [1])
    while by_hand.round():
        continue
    assert log.numbers(a) == [1, 2, 3]


def test_rows_of_a_topic_that_is_not_ordered_all_go_at_once(by_hand, key, reader):
    claims = Log(reader, django_settings.SAMPLE_UNORDERED)
    with transaction.atomic():
        publish_all((NoteClaimed(key=key, number=number), None) for number in range(50))

    by_hand.round()

    assert waiting() == []
    assert len(claims.records()) == 50


def test_many_rows_of_one_key_do_not_hide_the_others(by_hand, key, log, settings):
    settings.MESSAGING = {**settings.MESSAGING, "RELAY_BATCH": 10}
    publish_notes(*[(f"{key}-many", number) for number in range(300)], (f"{key}-late", 1))

    by_hand.round()

    assert log.numbers(f"{key}-late") == [1]
    assert log.numbers(f"{key}-many") == [0]


def test_an_event_stands_on_kafka_as_cloudevents_describe_it(by_hand, key, log):
    publish_notes((key, 1))
    row = OutboxRow.objects.get()

    by_hand.round()

    [record] = log.records()
    assert record.key == key.encode()
    assert json.loads(record.value) == {"key": key, "number": 1, "behaviour": ""}
    assert {name: value.decode() for name, value in record.headers} == {
        "ce_specversion": "1.0",
        "ce_id": row.event_id,
        "ce_source": "/sample",
        "ce_type": "sample.NoteAdded.v1",
        "ce_subject": key,
        "ce_time": row.occurred_at.isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
        "ce_correlationid": key,
    }
    assert record.timestamp >= int(row.occurred_at.timestamp() * 1000)


def test_a_row_for_a_topic_that_does_not_exist_holds_up_nobody_and_leaves_once_the_topic_exists(key, log, relay):
    nowhere = f"nowhere.{django_settings.SAMPLE_TOPIC}"
    put(envelope(nowhere, key, 1))
    publish_notes((f"{key}-other", 1))

    eventually(lambda: log.numbers(f"{key}-other") == [1])
    eventually(lambda: waiting() == [(key, 1)])

    create_topic(nowhere)
    eventually(lambda: waiting() == [], 30)


def test_a_row_that_the_broker_refuses_holds_up_its_own_key_alone_until_it_is_taken(key, reader, monkeypatch):
    monkeypatch.setattr(sender, "KEY_BACKOFF", Backoff(0.1, 0.3))
    narrow = f"narrow.{django_settings.SAMPLE_TOPIC}"
    create_topic(narrow, **{"max.message.bytes": "2000"})
    log = Log(reader, narrow)
    others = [envelope(narrow, f"{key}-{number}", number) for number in range(20)]
    put(envelope(narrow, key, 1, size=5000), envelope(narrow, key, 2), *others)

    with running(Relay()):
        eventually(lambda: waiting() == [(key, 1), (key, 2)])
        refusal = eventually(lambda: outbox_refusal(key))
        assert f"{narrow} takes no record of 5" in refusal
        assert "--add-config max.message.bytes=1000000" in refusal
        assert live_workers.workers()["refused_events"] == 1
        configure_topic(narrow, **{"max.message.bytes": "100000"})
        eventually(lambda: waiting() == [])

    assert log.numbers(key) == [1, 2]


def test_a_row_that_the_producer_itself_refuses_holds_up_its_own_key_alone(key, log, relay):
    put(envelope(django_settings.SAMPLE_TOPIC, key, 1, size=2_000_000))
    publish_notes((f"{key}-other", 1))

    eventually(lambda: waiting() == [(key, 1)])
    assert log.numbers(f"{key}-other") == [1]
    assert "the relay cannot send it: " in eventually(lambda: outbox_refusal(key))


@pytest.mark.parametrize(("limit", "warned"), [(2000, True), (1_000_000, False)])
def test_a_topic_too_small_for_our_events_is_named_at_start(settings, caplog, limit, warned):
    narrow = f"narrow.{limit}.{django_settings.SAMPLE_TOPIC}"
    create_topic(narrow, **{"max.message.bytes": str(limit)})
    settings.MESSAGING = {**settings.MESSAGING, "TOPICS": {narrow: {}}}

    SizeCheck().run()

    assert (f"the topic {narrow} takes records of at most {limit} bytes" in caplog.text) is warned


def test_a_commit_in_another_process_wakes_the_relay_long_before_it_polls(key, log):
    with process("relay"):
        publish_notes((key, 0))
        eventually(lambda: waiting() == [])
        took = sorted(seconds_until_sent(key, number) for number in range(1, 10))

    assert took[4] < 0.3, took


def seconds_until_sent(key: str, number: int) -> float:
    time.sleep(0.05)
    began = time.monotonic()
    publish_notes((key, number))
    while waiting():
        time.sleep(0.002)
    return time.monotonic() - began


def test_a_row_leaves_without_any_wake(key, log, relay):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_outbox (event_id, topic, key, shard, type, occurred_at, correlation_id, extra, data)"
            " VALUES ('by hand', %s, %s, 0, 'sample.NoteAdded.v1', now(), %s, '', %s)",
            [django_settings.SAMPLE_TOPIC, key, key, b'{"key": "k", "number": 5}'],
        )

    eventually(lambda: waiting() == [], 5)
    assert [header(record, "ce_id") for record in log.records()] == ["by hand"]


def test_the_relay_gets_over_a_lost_database_connection(key, log, relay):
    publish_notes((key, 1))
    eventually(lambda: waiting() == [])

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sample:relay'")
    publish_notes((key, 2))

    eventually(lambda: waiting() == [], 10)
    assert log.first_numbers(key) == [1, 2]


def test_a_stopped_relay_leaves_no_thread_and_no_connection(key, reader):
    before = threading.active_count()

    with running(Relay()):
        publish_notes((key, 1))
        eventually(lambda: waiting() == [])
        assert relay_connections() == 1

    assert threading.active_count() <= before
    eventually(lambda: relay_connections() == 0)


def relay_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sample:relay'")
        return int(cursor.fetchone()[0])
