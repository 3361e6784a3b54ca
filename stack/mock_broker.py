"""The demo's fall-back where no broker can be had: librdkafka's in-process mock, from the confluent-kafka wheel.

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
WARNING: no Kafka broker can be had here, so this demo runs on librdkafka's mock broker instead.
WARNING: it truncates its log, fakes rebalances and keeps nothing. Only confirmation and compensation are shown,
WARNING: and nothing of this says how the system behaves when something fails. For the real demo:"""


@contextmanager
def running() -> Iterator[Options]:
    """Run the mock in this process, named in KAFKA_BOOTSTRAP_SERVERS; yield the options to start the stack with."""
    broker = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    address = next(iter(broker.list_topics(timeout=ANSWER_SECONDS).brokers.values()))
    for topic in TOPICS:
        broker.list_topics(topic, timeout=ANSWER_SECONDS)  # asking creates it, with 4 partitions
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = f"{address.host}:{address.port}"
    # The mock forgets everything, so the databases begin empty as well.
    yield Options(for_tests=True, end_with_parent=True, settings={"PYTHONPATH": str(ROOT / "stack" / "mock")})
    broker.flush(0)
