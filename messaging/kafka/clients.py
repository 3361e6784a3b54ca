"""kafka-python's clients, each with the options that this library needs. Build them after a fork, never before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from messaging.conf import conf
from messaging.kafka.patches import lenient_headers, unreadable_batches

lenient_headers.install()
unreadable_batches.install()
logger = logging.getLogger(__name__)

CLOSE_MS = 5000
#: Longest wait for a first answer of the brokers, in milliseconds; shorter than the relay's locks live.
BOOTSTRAP_MS = 3000
#: The same for commands and tasks, which hold no locks.
ASK_BOOTSTRAP_MS = 10_000
#: Members learn of a rebalance with their next heartbeat; until then no member reads the partitions of one that left.
HEARTBEAT_MS = 500
#: How long the producer tries to deliver a record, and how long it waits for one answer, in milliseconds.
DELIVERY_MS = 30_000
REQUEST_MS = 10_000
#: How soon a consumer learns of new partitions, in milliseconds.
METADATA_MS = 10_000
#: A record of a transaction is read once it is committed, and never if it is aborted. A consumer's end_offsets() is
#: then the last stable offset: nothing from there on can be read yet. log_ends() gives the end of the log itself.
READ_COMMITTED = "read_committed"


def client_id_of(service: str, group: str) -> str:
    """Return the client id of a service's workers in one of its groups."""
    return f"{service}-{group}"


def group_consumer(group: str) -> KafkaConsumer:
    """Return a consumer of `group`: it reads committed, and never commits or chooses a position by itself.

    KafkaError when no broker answers.
    """
    settings = conf()
    return _built(
        KafkaConsumer,
        bootstrap_servers=settings.bootstrap_servers,
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        client_id=client_id_of(settings.service, group),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=READ_COMMITTED,
        max_poll_records=settings.max_poll_records,
        max_poll_interval_ms=settings.max_poll_interval_ms,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=min(HEARTBEAT_MS, settings.session_timeout_ms // 3),
        fetch_max_wait_ms=500,
        reconnect_backoff_max_ms=2000,
        metadata_max_age_ms=METADATA_MS,
    )


@contextmanager
def reader() -> Iterator[KafkaConsumer]:
    """Yield a consumer without a group, for questions and for reading an explicit assignment; it reads committed.

    KafkaError when no broker answers.
    """
    consumer = _built(
        KafkaConsumer,
        bootstrap_servers=conf().bootstrap_servers,
        bootstrap_timeout_ms=ASK_BOOTSTRAP_MS,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=READ_COMMITTED,
    )
    try:
        yield consumer
    finally:
        consumer.close(timeout_ms=CLOSE_MS)


def idempotent_producer() -> KafkaProducer:
    """Return the relay's producer: idempotent, acknowledged by all replicas, partitioned by murmur2.

    KafkaError when no broker answers.
    """
    return _built(
        KafkaProducer,
        bootstrap_servers=conf().bootstrap_servers,
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        client_id=f"{conf().service}-relay",
        enable_idempotence=True,
        acks="all",
        linger_ms=5,
        batch_size=256 * 1024,
        max_request_size=2 * conf().largest_record,
        delivery_timeout_ms=DELIVERY_MS,
        request_timeout_ms=REQUEST_MS,
        max_block_ms=1_000,
        reconnect_backoff_max_ms=1000,
    )


def _built(make: Callable[..., Any], **options: Any) -> Any:
    """Build a client. When no broker answers, close the thread and the sockets that kafka-python leaves behind."""
    parts: list[KafkaNetClient] = []

    def remembered(**given: Any) -> KafkaNetClient:
        parts.append(KafkaNetClient(**given))
        return parts[-1]

    try:
        return make(kafka_client=remembered, **options)
    except KafkaError:
        for part in parts:
            part.close()
        raise


@contextmanager
def admin() -> Iterator[Any]:
    """Yield an admin client. KafkaError when no broker answers."""
    client = _built(KafkaAdminClient, bootstrap_servers=conf().bootstrap_servers, bootstrap_timeout_ms=ASK_BOOTSTRAP_MS)
    try:
        yield client
    finally:
        client.close()
