"""Fixtures: the sample's topics on the real broker, and its relay and consumer as threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from kafka import KafkaConsumer, TopicPartition

from messaging.consumer import Consumer
from messaging.relay import Relay
from messaging.topics import create_topics


@pytest.fixture(scope="session", autouse=True)
def topics() -> None:
    create_topics()


@pytest.fixture(autouse=True)
def _fresh_sample() -> Iterator[None]:
    from tests.messaging.sample import handlers

    handlers.batches.clear()
    handlers.attempts.clear()
    yield


@contextmanager
def running(runner: Any) -> Iterator[Any]:
    """Run a relay or a consumer in a thread for the length of a with block."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            runner.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop()
        thread.join(20)
        assert not thread.is_alive(), "the thread did not stop"
        assert not failures, failures


@pytest.fixture
def relay() -> Iterator[Relay]:
    with running(Relay()) as runner:
        yield runner


@pytest.fixture
def consumer(settings_group: str) -> Iterator[Consumer]:
    with running(Consumer(settings_group, [settings.SAMPLE_TOPIC])) as runner:
        yield runner


@pytest.fixture
def settings_group() -> str:
    return str(settings.SAMPLE_GROUP)


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until the condition is true and return its value; fail after the bound."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not so within {seconds} s: {condition}")


def log_of(topic: str) -> list[Any]:
    """Return every record of a topic, by partition and offset."""
    reader = KafkaConsumer(bootstrap_servers=settings.MESSAGING["BOOTSTRAP_SERVERS"], group_id=None, auto_offset_reset="earliest")
    partitions = [TopicPartition(topic, partition) for partition in sorted(reader.partitions_for_topic(topic))]
    reader.assign(partitions)
    reader.seek_to_beginning(*partitions)
    ends = reader.end_offsets(partitions)
    records: list[Any] = []
    while any(reader.position(tp) < ends[tp] for tp in partitions):
        for batch in reader.poll(timeout_ms=500).values():
            records += batch
    reader.close(timeout_ms=1000)
    return sorted(records, key=lambda record: (record.partition, record.offset))
