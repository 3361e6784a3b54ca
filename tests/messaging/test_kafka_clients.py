"""What kafka-python 3.0.12 needs help with."""

from __future__ import annotations

import threading
import time

import pytest
from django.conf import settings as django_settings
from kafka import KafkaConsumer
from kafka.coordinator.base import MemberState
from kafka.errors import KafkaError

from messaging.kafka.clients import admin, group_consumer, idempotent_producer, reader
from messaging.kafka.patches.private_calls import keep_joining
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "make",
    [idempotent_producer, lambda: group_consumer("nobody"), lambda: reader().__enter__(), lambda: admin().__enter__()],
)
def test_a_client_that_finds_no_broker_leaves_no_thread(settings, monkeypatch, make):
    settings.MESSAGING = {**settings.MESSAGING, "BOOTSTRAP_SERVERS": ["127.0.0.1:1"]}
    monkeypatch.setattr("messaging.kafka.clients.BOOTSTRAP_MS", 300)
    monkeypatch.setattr("messaging.kafka.clients.ASK_BOOTSTRAP_MS", 300)
    before = threading.active_count()

    for _ in range(3):
        with pytest.raises(KafkaError):
            make()

    assert threading.active_count() == before


def test_a_join_that_new_metadata_asked_for_and_that_ends_between_two_polls_is_not_forgotten(group):
    client = group_consumer(group)
    client.subscribe([django_settings.SAMPLE_TOPIC])
    eventually(lambda: poll(client) or client.assignment())
    joined = client.group_metadata().generation_id

    client._coordinator._assignment_snapshot = {"a topic that is gone": {0}}
    client.poll(timeout_ms=0)
    time.sleep(1)

    eventually(lambda: poll(client) or is_stable(client))
    assert client.group_metadata().generation_id > joined
    client.close()


def poll(client: KafkaConsumer) -> None:
    keep_joining(client)
    try:
        client.poll(timeout_ms=100)
    except KafkaError:
        return


def is_stable(client: KafkaConsumer) -> bool:
    return bool(client.group_metadata().state == MemberState.STABLE)
