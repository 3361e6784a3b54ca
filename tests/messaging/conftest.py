"""Fixtures: the sample's topics on the real broker, a consumer group for each test, relays and consumers as threads."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from hypothesis import settings as hypothesis_settings
from kafka import KafkaConsumer

from messaging.consumer.bisection import OutagesAtPositions
from messaging.consumer.loop import Consumer
from messaging.inbox import positions
from messaging.kafka import clients as kafka_clients
from messaging.kafka.topics import create_topics
from messaging.outbox.relay import Relay
from tests.messaging.broker import Broker
from tests.messaging.log import Log, cut, ends_of
from tests.messaging.producing import Writer, writer
from tests.messaging.settings import MESSAGING as UNCHANGED
from tests.messaging.threads import running

#: A slow machine is no failure of a property.
hypothesis_settings.register_profile("messaging", deadline=None)
hypothesis_settings.load_profile("messaging")

_numbers = itertools.count(1)
SHARED: list[str] = UNCHANGED["BOOTSTRAP_SERVERS"]


@pytest.fixture(autouse=True)
def _fresh_sample() -> None:
    from messaging.consumer import retry_parked
    from tests.messaging.sample import handlers

    retry_parked._failing.clear()
    retry_parked._cut_off.clear()
    retry_parked._hurried.clear()
    retry_parked._outages = OutagesAtPositions()
    handlers.batches.clear()
    handlers.attempts.clear()


@pytest.fixture(scope="session")
def shared_reader() -> Iterator[KafkaConsumer]:
    create_topics()
    yield from _reader(SHARED)


@pytest.fixture
def reader(request: pytest.FixtureRequest) -> Iterator[KafkaConsumer]:
    """A consumer without a group, for looking at the topics of the broker in the settings: they exist from here on."""
    if _is_shared():
        yield request.getfixturevalue("shared_reader")
    else:
        create_topics()
        yield from _reader(django_settings.MESSAGING["BOOTSTRAP_SERVERS"])


def _reader(servers: list[str]) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=None)
    yield consumer
    consumer.close()


def _is_shared() -> bool:
    return bool(django_settings.MESSAGING["BOOTSTRAP_SERVERS"] == SHARED)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return f"{request.node.name[:60]}-{next(_numbers)}"


@pytest.fixture
def log(reader: KafkaConsumer) -> Log:
    """The sample topic's records from now on."""
    return Log(reader, django_settings.SAMPLE_TOPIC)


@pytest.fixture
def group(reader: KafkaConsumer, settings: Any, db: None) -> str:
    """A consumer group of this test's own, the service's default one, at the current end of the log."""
    name = f"sample-{os.getpid()}-{next(_numbers)}"
    topics = [django_settings.SAMPLE_TOPIC, django_settings.SAMPLE_UNORDERED]
    settings.MESSAGING = {**settings.MESSAGING, "GROUPS": {name: topics}}
    ends = {place: offset for topic in topics for place, offset in ends_of(reader, topic).items()}
    positions.create(name, ends)
    return name


@pytest.fixture(scope="session")
def shared_write() -> Iterator[Writer]:
    with writer() as writing:
        yield writing


@pytest.fixture
def write(request: pytest.FixtureRequest, reader: KafkaConsumer) -> Iterator[Writer]:
    """Writes to the sample's topic on the broker in the settings."""
    if _is_shared():
        yield request.getfixturevalue("shared_write")
    else:
        with writer() as writing:
            yield writing


@pytest.fixture
def relay(reader: KafkaConsumer) -> Iterator[Relay]:
    with running(Relay()) as runner:
        yield runner


@pytest.fixture
def consumer(group: str) -> Iterator[Consumer]:
    with running(consumer_of(group)) as runner:
        yield runner


def consumer_of(group: str) -> Consumer:
    """Return a consumer of the sample's topics, to be run."""
    return Consumer(group, [django_settings.SAMPLE_TOPIC, django_settings.SAMPLE_UNORDERED])


@pytest.fixture(scope="session")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that a test may freeze and stop."""
    directory: Path = tmp_path_factory.mktemp("broker")
    broker = Broker(directory)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def broker(own_broker: Broker, settings: Any, key: str) -> Broker:
    """The broker of its own that everything in the test talks to, with a relay that loses patience soon."""
    settings.MESSAGING = {
        **settings.MESSAGING,
        "BOOTSTRAP_SERVERS": [own_broker.address],
        "RELAY_STALL_SECONDS": 2,
        "GROUPS": {key: [django_settings.SAMPLE_TOPIC]},
    }
    create_topics()
    with kafka_clients.reader() as looking:
        cut(looking, django_settings.SAMPLE_TOPIC)  # a new group begins at the start of the log
    return own_broker


@pytest.fixture
def impatient_broker(own_broker: Broker, settings: Any) -> None:
    """Have the test talk to a broker that allows SOON_MISSED; the shared one allows no session timeout below 6 s."""
    settings.MESSAGING = {**settings.MESSAGING, "BOOTSTRAP_SERVERS": [own_broker.address]}


@pytest.fixture
def own_log(broker: Broker) -> Iterator[Log]:
    consumer = KafkaConsumer(bootstrap_servers=broker.address, group_id=None)
    yield Log(consumer, django_settings.SAMPLE_TOPIC)
    consumer.close()
