"""A foreign client that writes in Kafka's transactions, as Kafka Streams or Flink do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from confluent_kafka import Producer
from django.conf import settings

from messaging.event import Event
from tests.messaging.records import record_of

SECONDS = 20


class Transaction:
    """An open transaction on one partition of the sample's topic."""

    def __init__(self, partition: int) -> None:
        servers = ",".join(settings.MESSAGING["BOOTSTRAP_SERVERS"])
        self._producer = Producer({"bootstrap.servers": servers, "transactional.id": f"foreign-{uuid4()}"})
        self._partition = partition
        self._is_open = True
        self._producer.init_transactions(SECONDS)
        self._producer.begin_transaction()

    def write(self, *events: Event) -> None:
        """Write events and wait until they are in the log."""
        for record in map(record_of, events):
            self._producer.produce(
                settings.SAMPLE_TOPIC, record.value, record.key, self._partition, headers=list(record.headers)
            )
        assert self._producer.flush(SECONDS) == 0

    def commit(self) -> None:
        self._producer.commit_transaction(SECONDS)
        self._is_open = False

    def abort(self) -> None:
        if self._is_open:
            self._producer.abort_transaction(SECONDS)
            self._is_open = False


@contextmanager
def transaction(*events: Event, partition: int) -> Iterator[Transaction]:
    """Yield an open transaction with these events in the log; it is aborted unless the block commits it."""
    opened = Transaction(partition)
    try:
        opened.write(*events)
        yield opened
    finally:
        opened.abort()
