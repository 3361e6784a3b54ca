"""The library's commands on the real broker."""

from __future__ import annotations

import uuid
from io import StringIO

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import InvalidReplicationFactorError, KafkaTimeoutError

from messaging.kafka.clients import admin
from messaging.management.commands import replay_topic
from tests.messaging.replaying import EXECUTE, Replayer
from tests.messaging.test_consumer import notes


@pytest.fixture
def topics(settings) -> tuple[str, str]:
    """Two topics that are not there yet, the second one compacted; the service owns no others."""
    names = (f"sample.new-{uuid.uuid4()}", f"sample.compacted-{uuid.uuid4()}")
    owned = {names[0]: {"compacted": False}, names[1]: {"compacted": True}}
    settings.MESSAGING = {**settings.MESSAGING, "TOPICS": owned, "PARTITIONS": 5, "RETENTION_DAYS": 2}
    return names


def create_topics() -> str:
    out = StringIO()
    call_command("create_topics", stdout=out)
    return out.getvalue().strip()


def config_of(topic: str) -> dict[str, str]:
    with admin() as client:
        found = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])["topic"][topic]
    return {name: entry["value"] for name, entry in found.items()}


def test_topics_are_created_once_and_left_alone_the_second_time(reader, topics):
    assert create_topics() == f"created: {topics[0]}, {topics[1]}"
    assert create_topics() == "every topic is there already"
    assert [len(reader.partitions_for_topic(topic)) for topic in topics] == [5, 5]


def test_only_what_is_missing_is_created(reader, topics, settings):
    create_topics()
    more = f"sample.more-{uuid.uuid4()}"
    settings.MESSAGING = {**settings.MESSAGING, "TOPICS": {**settings.MESSAGING["TOPICS"], more: {}}, "PARTITIONS": 2}

    assert create_topics() == f"created: {more}"
    assert [len(reader.partitions_for_topic(topic)) for topic in (*topics, more)] == [5, 5, 2]


def test_a_compacted_topic_keeps_the_last_of_each_key_and_another_one_a_span_of_time(topics):
    create_topics()

    assert config_of(topics[0])["cleanup.policy"] == "delete"
    assert config_of(topics[0])["retention.ms"] == str(2 * 24 * 60 * 60 * 1000)
    assert config_of(topics[1])["cleanup.policy"] == "compact"


@pytest.mark.django_db(transaction=True)
def test_a_replay_shows_its_range_and_a_table_by_event_type(group, reader, write, key):
    replay = Replayer(group, reader, write)
    replay.passed(*notes(key, 3))
    replay(*EXECUTE, "--until-offset", str(replay.start + 1))
    replay(*EXECUTE)

    assert replay.said.splitlines() == [
        f"{django_settings.SAMPLE_TOPIC}/0: offsets {replay.start} to {replay.start + 2}",
        "event type                                     applied  already done   refused  passed over",
        "sample.NoteAdded.v1                                  4             2         0            0",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_replay_without_a_broker_says_so(group, monkeypatch):
    def unreachable() -> None:
        raise KafkaTimeoutError

    monkeypatch.setattr(replay_topic, "reader", unreachable)

    with pytest.raises(CommandError, match="Kafka or the database did not answer"):
        call_command("replay_topic", django_settings.SAMPLE_TOPIC, "--from-earliest")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --from-earliest --from-offset --from-datetime is required"),
        (["--from-earliest", "--from-offset", "1"], "not allowed with argument"),
        (["--from-earliest", "--until-offset", "1", "--until-datetime", "2026-01-01T00:00Z"], "not allowed with"),
        (["--from-earliest", "--dry-run", "--execute"], "not allowed with argument"),
        (["--from-offset", "first"], "invalid int value: 'first'"),
        (["--from-datetime", "yesterday"], "'yesterday' is not a datetime such as 2026-11-23T09:00:00Z"),
    ],
)
def test_a_wrong_call_of_a_replay_is_told_before_anything_is_read(arguments, message):
    with pytest.raises(CommandError) as wrong:
        call_command("replay_topic", django_settings.SAMPLE_TOPIC, *arguments)

    assert message in str(wrong.value)


def test_what_the_broker_refuses_is_an_error_that_names_the_topic(topics, settings):
    settings.MESSAGING = {**settings.MESSAGING, "REPLICATION_FACTOR": 3}

    with pytest.raises(InvalidReplicationFactorError, match=topics[0]):
        create_topics()
