"""kafka-python's clients, each with the options that this library's rules need. Built after a fork, never before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from messaging.conf import conf

CLOSE_MS = 5000


def group_consumer(group: str) -> KafkaConsumer:
    """Return a consumer of `group` that commits nothing by itself and never chooses a position by itself."""
    settings = conf()
    return KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=f"{settings.service}-{group}",
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_poll_records=settings.max_poll_records,
        max_poll_interval_ms=settings.max_poll_interval_ms,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=min(3000, settings.session_timeout_ms // 3),
        fetch_max_wait_ms=500,
        reconnect_backoff_max_ms=2000,
        metadata_max_age_ms=30_000,
    )


@contextmanager
def reader() -> Iterator[KafkaConsumer]:
    """Yield a consumer without a group, for asking and for reading an assignment of one's own."""
    consumer = KafkaConsumer(
        bootstrap_servers=conf().bootstrap_servers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
    )
    try:
        yield consumer
    finally:
        consumer.close(timeout_ms=CLOSE_MS)


def idempotent_producer() -> KafkaProducer:
    """Return the relay's producer: idempotent, acknowledged by all replicas, partitioned by murmur2."""
    return KafkaProducer(
        bootstrap_servers=conf().bootstrap_servers,
        client_id=f"{conf().service}-relay",
        enable_idempotence=True,
        acks="all",
        linger_ms=5,
        batch_size=256 * 1024,
        delivery_timeout_ms=30_000,
        request_timeout_ms=10_000,
        max_block_ms=5_000,
        reconnect_backoff_max_ms=1000,
    )


@contextmanager
def admin() -> Iterator[Any]:
    """Yield an admin client."""
    client = KafkaAdminClient(bootstrap_servers=conf().bootstrap_servers)
    try:
        yield client
    finally:
        client.close()
