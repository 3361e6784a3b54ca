"""Writing records to the sample's topic as a service would, without an outbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from kafka import KafkaProducer

from messaging.event import Event
from tests.messaging.records import Record, record_of


class Writer:
    """Writes events and raw records and waits until they are in the log."""

    def __init__(self, address: list[str]) -> None:
        self._producer = KafkaProducer(bootstrap_servers=address, acks="all")

    def events(self, *events: Event, partition: int | None = None) -> None:
        self.records(*[record_of(event) for event in events], partition=partition)

    def records(self, *records: Record, partition: int | None = None) -> None:
        for each in records:
            headers = [(name, value or b"") for name, value in each.headers]
            self._producer.send(settings.SAMPLE_TOPIC, each.value, each.key, headers, partition)
        self._producer.flush(10)

    def close(self) -> None:
        self._producer.close(5)


@contextmanager
def writer() -> Iterator[Writer]:
    """Yield a writer to the shared broker."""
    writing = Writer(settings.MESSAGING["BOOTSTRAP_SERVERS"])
    try:
        yield writing
    finally:
        writing.close()
