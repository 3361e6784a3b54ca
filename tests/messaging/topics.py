"""Topics for one test."""

from __future__ import annotations

from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from messaging.kafka.clients import admin


def create_topic(name: str, **configs: str) -> None:
    """Create a topic of one partition."""
    with admin() as client:
        client.create_topics(
            [NewTopic(name=name, num_partitions=1, replication_factor=1, topic_configs=configs or None)]
        )


def configure_topic(name: str, **configs: str) -> None:
    """Change the configuration of a topic."""
    with admin() as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs)])
