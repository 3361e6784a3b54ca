"""The demo's fallback if Kafka cannot be started: librdkafka's in-process mock, from the confluent-kafka wheel.

It truncates its log, fakes rebalances and keeps nothing. No test uses it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from config.topology import TOPICS
from stack.layout import ROOT
from stack.lifecycle import Options

ANSWER_SECONDS = 10.0
WARNING = """\
WARNING: Kafka cannot be started here, so this demo uses librdkafka's mock broker.
WARNING: it truncates its log, fakes rebalances and keeps nothing. Only confirmation and compensation are shown,
WARNING: and this says nothing about failures. To run the real demo:"""


@contextmanager
def running() -> Iterator[Options]:
    """Run the mock in this process and set KAFKA_BOOTSTRAP_SERVERS; yield the options for the stack."""
    broker = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    address = next(iter(broker.list_topics(timeout=ANSWER_SECONDS).brokers.values()))
    for topic in TOPICS:
        broker.list_topics(topic, timeout=ANSWER_SECONDS)  # this creates it, with 4 partitions
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = f"{address.host}:{address.port}"
    # The mock keeps no data, so the databases begin empty too.
    yield Options(for_tests=True, end_with_parent=True, settings={"PYTHONPATH": str(ROOT / "stack" / "mock")})
    broker.flush(0)
