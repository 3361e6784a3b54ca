"""Any CloudEvents or Kafka client can write to our topics and read them: librdkafka, which is not our client."""

from __future__ import annotations

import json
import uuid

import pytest
from confluent_kafka import Consumer as ForeignConsumer
from confluent_kafka import Producer as ForeignProducer
from confluent_kafka import TopicPartition
from django.conf import settings as django_settings

from messaging.models import InboxRow
from tests.messaging.log import ends_of
from tests.messaging.rows import publish_notes
from tests.messaging.test_consumer import applied, is_applied
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def servers() -> str:
    return ",".join(django_settings.MESSAGING["BOOTSTRAP_SERVERS"])


def test_a_well_formed_event_of_a_foreign_client_is_handled(consumer, key):
    foreign = ForeignProducer({"bootstrap.servers": servers(), "partitioner": "murmur2_random"})
    event_id = str(uuid.uuid4())
    headers = [("ce_id", event_id), ("ce_source", "/abroad"), ("ce_type", "sample.NoteAdded.v1")]

    foreign.produce(django_settings.SAMPLE_TOPIC, json.dumps({"key": key, "number": 1}), key, headers=headers)
    assert foreign.flush(10) == 0

    eventually(lambda: is_applied(key, 1))
    row = InboxRow.objects.filter(key=key).first()
    assert row is not None
    assert row.event_id == event_id


def test_foreign_clients_may_have_one_id_and_spell_a_key_as_they_like(consumer):
    key = str(uuid.uuid4())
    foreign = ForeignProducer({"bootstrap.servers": servers(), "partitioner": "murmur2_random"})
    for number, (source, spelled) in enumerate(
        {"/abroad": key.upper(), "/sample": key, "/else": f"urn:uuid:{key}"}.items()
    ):
        headers = [("ce_id", key), ("ce_source", source), ("ce_type", "sample.NoteAdded.v1")]
        value = json.dumps({"key": key, "number": number})
        for _ in range(2):
            foreign.produce(django_settings.SAMPLE_TOPIC, value, spelled, headers=headers)
    assert foreign.flush(10) == 0

    eventually(lambda: is_applied(key, 3))
    assert sorted(applied(key)) == sorted(applied(key, "batch")) == [0, 1, 2]
    assert set(InboxRow.objects.filter(event_id__contains=key).values_list("key", flat=True)) == {key}


def test_a_foreign_client_puts_every_key_where_our_relay_puts_it(relay, log, key):
    keys = [f"{key}-{number}" for number in range(60)]
    publish_notes(*[(each, 1) for each in keys])
    records = eventually(lambda: len(found := log.records()) == len(keys) and found)
    ours = {record.key.decode(): record.partition for record in records}
    theirs: dict[str, int] = {}
    foreign = ForeignProducer({"bootstrap.servers": servers(), "partitioner": "murmur2_random"})

    for each in keys:
        foreign.produce(
            django_settings.SAMPLE_TOPIC,
            b"{}",
            each,
            on_delivery=lambda error, record: theirs.update({record.key().decode(): record.partition()}),
        )
    foreign.flush(10)

    assert theirs == ours


def test_a_foreign_client_reads_our_events(relay, reader, key):
    foreign = ForeignConsumer({"bootstrap.servers": servers(), "group.id": f"abroad-{key}"})
    ends = ends_of(reader, django_settings.SAMPLE_TOPIC)
    foreign.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()])

    publish_notes((key, 7))

    record = eventually(lambda: foreign.poll(1.0))
    foreign.close()
    assert json.loads(record.value()) == {"key": key, "number": 7, "behaviour": ""}
    assert dict(record.headers())["ce_type"] == b"sample.NoteAdded.v1"
