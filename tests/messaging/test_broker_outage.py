"""Relay and consumer over an outage of the broker: they go on by themselves within seconds, in order, without leaks."""

from __future__ import annotations

import threading
import time

import pytest
from django.conf import settings as django_settings

from messaging.consumer.loop import Consumer
from messaging.kafka.clients import idempotent_producer
from messaging.kafka.patches.private_calls import abandon
from messaging.outbox.relay import Relay
from tests.messaging.rows import publish_notes, waiting
from tests.messaging.test_consumer import applied, is_applied
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_an_event_of_unknown_fate_stays_first_of_its_key_over_a_frozen_broker(broker, own_log, key, caplog):
    with running(Relay()) as relay:
        publish_notes((f"{key}-warm", 0))
        eventually(lambda: waiting() == [])
        before = threads()
        broker.freeze()
        publish_notes((key, 1))
        eventually(lambda: relay._sender._producer is None, 10)
        publish_notes((key, 2), (key, 3), (f"{key}-other", 1))
        eventually(lambda: caplog.text.count("relay: outage, next try in") >= 2)
        assert waiting() == [(key, 1), (key, 2), (key, 3), (f"{key}-other", 1)]

        broker.wake()
        began = time.monotonic()
        eventually(lambda: waiting() == [], 15)

        assert time.monotonic() - began < 10
        assert sorted(threads()) == sorted(before)
    assert own_log.first_numbers(key) == [1, 2, 3]
    assert own_log.first_numbers(f"{key}-other") == [1]


def test_a_producer_whose_batches_expired_while_the_broker_was_frozen_is_replaced(
    broker, own_log, key, monkeypatch, settings, caplog
):
    monkeypatch.setattr("messaging.kafka.clients.REQUEST_MS", 1500)
    monkeypatch.setattr("messaging.kafka.clients.DELIVERY_MS", 3000)
    settings.MESSAGING = {**settings.MESSAGING, "RELAY_STALL_SECONDS": 3600}
    with running(Relay()) as relay:
        publish_notes((key, 0))
        eventually(lambda: waiting() == [])
        expired = relay._sender._producer
        broker.freeze()
        publish_notes((key, 1), (key, 2))
        eventually(lambda: "rows were not acknowledged" in caplog.text)
        assert waiting() == [(key, 1), (key, 2)]
        broker.wake()
        eventually(lambda: waiting() == [], 30)

        assert relay._sender._producer is not expired
    assert own_log.first_numbers(key) == [0, 1, 2]


def test_an_abandoned_producer_leaves_no_thread_even_while_the_broker_is_frozen(broker):
    before = threads()
    producer = idempotent_producer()
    producer.partitions_for(django_settings.SAMPLE_TOPIC)
    broker.freeze()
    try:
        future = producer.send(django_settings.SAMPLE_TOPIC, key=b"abandoned", value=b"{}")
        time.sleep(0.5)
        abandon(producer)
    finally:
        broker.wake()

    assert future.failed()
    assert threads() == before


def test_what_is_published_and_what_is_started_while_the_broker_is_down_goes_on_when_it_is_up(
    broker, own_log, key, monkeypatch, caplog
):
    monkeypatch.setattr("messaging.kafka.clients.BOOTSTRAP_MS", 700)
    with running(Relay()), running(Consumer(key, [django_settings.SAMPLE_TOPIC])):
        publish_notes(*[(key, number) for number in range(5)])
        eventually(lambda: is_applied(key, 5))
        broker.stop()
        before = threads()
        with running(Consumer(key, [django_settings.SAMPLE_TOPIC])):
            publish_notes(*[(key, number) for number in range(5, 10)])
            for failed in ("relay: outage, next try in", "no broker answers; the consumer joins its group later"):
                eventually(lambda: caplog.text.count(failed) >= 3)  # noqa: B023
            assert len(waiting()) == 5
            assert len(threads()) <= len(before) + 2

            broker.start()
            began = time.monotonic()
            eventually(lambda: is_applied(key, 10), 30)

    assert time.monotonic() - began < 20
    assert applied(key) == applied(key, "batch") == list(range(10))
    assert own_log.first_numbers(key) == list(range(10))
