"""A service creates the topics that it owns; automatic creation is off."""

from __future__ import annotations

from typing import Any

from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError

from messaging.conf import conf
from messaging.kafka_clients import admin

DAY_MS = 24 * 60 * 60 * 1000
#: Bytes that a record may have beyond its event.
ROOM_FOR_HEADERS = 100_000


def create_topics() -> list[str]:
    """Create the service's topics that do not exist yet and return their names.

    KafkaError when the broker can't be reached or refuses.
    """
    with admin() as client:
        missing = [name for name in conf().topics if name not in set(client.list_topics())]
        if missing:
            _create(client, missing)
    return missing


def _create(client: Any, names: list[str]) -> None:
    wanted = [
        NewTopic(
            name=name,
            num_partitions=conf().partitions,
            replication_factor=conf().replication_factor,
            topic_configs=_configs(conf().topics[name]),
        )
        for name in names
    ]
    try:
        client.create_topics(wanted)
    except TopicAlreadyExistsError:
        return


def _configs(topic: dict[str, Any]) -> dict[str, str]:
    """An acknowledged record stands on all replicas but one; what publish() takes, the broker takes too."""
    configs = {
        "min.insync.replicas": str(max(1, conf().replication_factor - 1)),
        "max.message.bytes": str(conf().max_event_bytes + ROOM_FOR_HEADERS),
    }
    if topic.get("compacted"):
        return configs | {"cleanup.policy": "compact", "segment.ms": str(DAY_MS)}
    return configs | {"cleanup.policy": "delete", "retention.ms": str(conf().retention_days * DAY_MS)}
