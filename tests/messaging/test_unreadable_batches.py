"""A batch that Kafka's client can't read stops its partition, and no other one, until it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from messaging.consumer.loop import Consumer
from messaging.models import ConsumerPosition
from tests.messaging.broker import Broker
from tests.messaging.log import cut
from tests.messaging.producing import Writer, writer
from tests.messaging.records import record_of
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, is_applied, notes, stop_reasons
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def write(broker: Broker) -> Iterator[Writer]:
    with writer() as writing:
        yield writing


@contextmanager
def damaged(broker: Broker, partition: int, text: str) -> Iterator[None]:
    """Change one byte of the batch that holds `text`, as a bad disk may, and mend it again."""
    [segment] = broker.node.directory.rglob(f"{django_settings.SAMPLE_TOPIC}-{partition}/*.log")
    place = segment.read_bytes().index(text.encode())
    put(segment, place, b"?")
    try:
        yield
    finally:
        put(segment, place, text[:1].encode())


def put(segment: Path, place: int, byte: bytes) -> None:
    with segment.open("r+b") as file:
        file.seek(place)
        file.write(byte)


def test_a_damaged_batch_stops_its_partition_alone_until_it_is_mended(broker, write, key):
    write.events(*notes(f"{key}-before", 1), partition=0)
    write.events(NoteAdded(key=key, number=0, behaviour=f"{key}-damaged"), partition=0)
    write.events(NoteAdded(key=key, number=1), partition=0)
    with running(Consumer(key, [django_settings.SAMPLE_TOPIC])):
        with damaged(broker, 0, f"{key}-damaged"):
            eventually(lambda: stop_reasons(key))
            for number in range(3):
                write.events(NoteAdded(key=f"{key}-elsewhere", number=number), partition=1)
            eventually(lambda: is_applied(f"{key}-elsewhere", 3))

            [reason] = stop_reasons(key)
            at = ConsumerPosition.objects.get(topic=django_settings.SAMPLE_TOPIC, partition=0).next_offset
            assert f"{django_settings.SAMPLE_TOPIC}/0 can't be read from offset {at} on" in reason
            assert "failed crc check" in reason
            assert (applied(f"{key}-before"), applied(key)) == ([0], [])

        eventually(lambda: is_applied(key, 2))
        assert applied(key) == applied(key, "batch") == [0, 1]
        assert stop_reasons(key) == []


def test_a_replay_ends_at_a_damaged_batch_and_says_where(broker, write, key):
    with running(Consumer(key, [django_settings.SAMPLE_TOPIC])):
        write.events(NoteAdded(key=key, number=0, behaviour=f"{key}-damaged"), partition=0)
        eventually(lambda: is_applied(key, 1))

    with damaged(broker, 0, f"{key}-damaged"), pytest.raises(CommandError, match="can't be read from offset"):
        call_command("replay_topic", f"{django_settings.SAMPLE_TOPIC}:0", "--from-earliest")


@contextmanager
def compression(broker: Broker, value: str) -> Iterator[None]:
    """Let the topic keep records as they come, as one that somebody else made does."""
    admin = AdminClient({"bootstrap.servers": broker.address})

    def set_to(text: str) -> None:
        entry = ConfigEntry("compression.type", text, incremental_operation=AlterConfigOpType.SET)
        topic = ConfigResource("topic", django_settings.SAMPLE_TOPIC, incremental_configs=[entry])
        admin.incremental_alter_configs([topic])[topic].result(20)

    set_to(value)
    try:
        yield
    finally:
        set_to("uncompressed")


def test_a_codec_that_is_not_installed_stops_the_partition_and_is_named(broker, own_log, write, key, monkeypatch):
    monkeypatch.setattr("kafka.codec.has_zstd", lambda: False)
    with compression(broker, "producer"), running(Consumer(key, [django_settings.SAMPLE_TOPIC])):
        write_compressed(broker, NoteAdded(key=key, number=0, behaviour="x" * 2000))
        eventually(lambda: stop_reasons(key))
        write.events(*notes(f"{key}-elsewhere", 1), partition=1)
        eventually(lambda: is_applied(f"{key}-elsewhere", 1))

        assert "zstd" in stop_reasons(key)[0]
    cut(own_log.reader, django_settings.SAMPLE_TOPIC)


def write_compressed(broker: Broker, event: Any) -> None:
    record = record_of(event)
    producer = Producer({"bootstrap.servers": broker.address, "compression.type": "zstd"})
    producer.produce(django_settings.SAMPLE_TOPIC, record.value, record.key, headers=list(record.headers), partition=0)
    assert producer.flush(20) == 0
