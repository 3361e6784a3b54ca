"""Records that a client with other habits, or bad intent, may write: none of them stops a partition, let alone two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer
from django.conf import settings as django_settings
from kafka import KafkaProducer

from messaging import end_offsets, positions_passed
from messaging.models import DeadLetterRow
from tests.messaging.records import Record, record_of
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_batch import note, singly
from tests.messaging.test_consumer import applied, is_applied, notes, stop_reasons
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def write_compressed(record: Record, codec: str) -> None:
    """Write with librdkafka, which compresses as configured."""
    servers = ",".join(django_settings.MESSAGING["BOOTSTRAP_SERVERS"])
    producer = Producer({"bootstrap.servers": servers, "compression.type": codec})
    producer.produce(django_settings.SAMPLE_TOPIC, record.value, record.key, headers=list(record.headers), partition=0)
    assert producer.flush(20) == 0


def assert_everybody_goes_on(write: Any, key: str, group: str) -> None:
    write.events(*notes(f"{key}-neighbour", 1), partition=0)
    write.events(*notes(f"{key}-elsewhere", 1), partition=1)
    eventually(lambda: is_applied(f"{key}-neighbour", 1) and is_applied(f"{key}-elsewhere", 1))
    assert stop_reasons(group) == []


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_a_compressed_record_is_read_whatever_compressed_it(group, write, key, consumer, codec):
    """The broker keeps it plainly: kafka-python can't read all of them, and hangs."""
    write_compressed(record_of(NoteAdded(key=key, number=0, behaviour="x" * 2000)), codec)

    eventually(lambda: is_applied(key, 1))
    assert_everybody_goes_on(write, key, group)


class NoText(str):
    """A header name of bytes that are no UTF-8."""

    def encode(self, *_: Any, **__: Any) -> bytes:
        return b"\xff\xfe"


def test_a_header_name_that_is_no_text_is_read_with_a_replacement(group, write, key, consumer):
    producer = KafkaProducer(bootstrap_servers=django_settings.MESSAGING["BOOTSTRAP_SERVERS"])
    good = record_of(NoteAdded(key=key, number=0))
    headers = [*good.headers, (NoText("x"), b"1")]
    producer.send(django_settings.SAMPLE_TOPIC, good.value, good.key, headers, 0).get(20)
    producer.close(5)

    eventually(lambda: is_applied(key, 1))
    assert_everybody_goes_on(write, key, group)


def test_deeply_nested_data_is_a_dead_letter(group, write, key, consumer):
    good = record_of(NoteAdded(key=key, number=1))
    nested = b'{"key":"%s","number":1,"x":%s%s}' % (key.encode(), b"[" * 1200, b"]" * 1200)
    write.records(replace(good, value=nested), partition=0)

    eventually(lambda: DeadLetterRow.objects.exists())
    assert DeadLetterRow.objects.get().reason == "schema_violation"
    assert_everybody_goes_on(write, key, group)
    assert applied(key) == []


def test_an_error_whose_text_no_database_can_keep_is_kept_nearly(group, monkeypatch):
    def fail() -> None:
        raise ValueError("a bad name: \udcff")

    monkeypatch.setitem(handlers.batch_behaviours, "surrogate", fail)

    singly(group, note("a", 1, "surrogate"))

    assert "a bad name: " in DeadLetterRow.objects.get().error


def test_a_transactional_writers_marker_is_passed(group, key, consumer):
    """The log ends with what no client is given: the position passes it, or every look at the end would wait."""
    servers = ",".join(django_settings.MESSAGING["BOOTSTRAP_SERVERS"])
    producer = Producer({"bootstrap.servers": servers, "transactional.id": key})
    good = record_of(NoteAdded(key=key, number=0))
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(django_settings.SAMPLE_TOPIC, good.value, good.key, headers=list(good.headers), partition=0)
    producer.commit_transaction(20)

    eventually(lambda: is_applied(key, 1))
    ends = end_offsets([django_settings.SAMPLE_TOPIC])
    eventually(lambda: positions_passed(group, ends), 30)
