"""The topics on the broker: creates those that a service owns, since the broker creates none, and asks about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import NoError, TopicAlreadyExistsError, for_code

from messaging.conf import conf, dead_letter_topic
from messaging.kafka.clients import admin

DAY_MS = 24 * 60 * 60 * 1000
#: What a dead letter may have beyond the largest record of the other topics.
ROOM_FOR_DEAD_LETTERS = 50_000


def create_topics() -> list[str]:
    """Create the service's topics that do not exist yet, wait until they can be used, and return their names.

    The broker's answer says which are new: its list of topics lags behind. KafkaError when it can't be reached or
    refuses one.
    """
    with admin() as client:
        answer = client.create_topics(_wanted(), raise_errors=False, wait_for_metadata=False)
        created = [topic["name"] for topic in answer["topics"] if _is_new(topic)]
        client.wait_for_topics(list(conf().topics))
    return created


def partition_count(consumer: KafkaConsumer, topic: str) -> int:
    """Return how many partitions the topic has; 0 when the broker knows no such topic."""
    return len(consumer.partitions_for_topic(topic) or ())


def configs_of(topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """Ask the broker for the configuration of each topic: topic → name → value; one that it does not know is left out.

    KafkaError when it can't be reached.
    """
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(topics)]
    with admin() as client:
        found = client.describe_configs(resources, config_filter="all").get("topic", {})
    return {
        topic: {name: entry["value"] for name, entry in configs.items()} for topic, configs in found.items() if configs
    }


def _is_new(topic: dict[str, Any]) -> bool:
    if topic["error_code"] not in (NoError.errno, TopicAlreadyExistsError.errno):
        raise for_code(topic["error_code"])(f"{topic['name']}: {topic['error_message']}")
    return bool(topic["error_code"] == NoError.errno)


def _wanted() -> dict[str, dict[str, Any]]:
    return {
        name: {
            "num_partitions": conf().partitions,
            "replication_factor": conf().replication_factor,
            "configs": _configs(name, topic),
        }
        for name, topic in conf().topics.items()
    }


def largest_record_of(topic: str) -> int:
    """Return the most bytes that a record of one of this service's topics may have."""
    return conf().largest_record + (ROOM_FOR_DEAD_LETTERS if topic == dead_letter_topic() else 0)


def _configs(name: str, topic: dict[str, Any]) -> dict[str, str]:
    """An acknowledged record is on all replicas but one; the broker accepts every size that publish() accepts."""
    configs = {
        # The broker stores records uncompressed: kafka-python hangs at a codec that is not installed.
        "compression.type": "uncompressed",
        "min.insync.replicas": str(max(1, conf().replication_factor - 1)),
        "max.message.bytes": str(largest_record_of(name)),
    }
    if topic.get("compacted"):
        return configs | {"cleanup.policy": "compact", "segment.ms": str(DAY_MS)}
    times = {"retention.ms": conf().retention_days * DAY_MS, "segment.ms": conf().segment_days * DAY_MS}
    return configs | {"cleanup.policy": "delete"} | {name: str(milliseconds) for name, milliseconds in times.items()}
