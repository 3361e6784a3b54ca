"""Adding partitions to a topic without moving a key under its own events (DESIGN §4).

A key's events go to another partition afterwards. So the relays of the topic's owner are held back, every consumer
group reads the topic to its end, and only then the partitions are added. A relay that goes on builds a new producer,
which knows them. The relays are held back by an advisory lock: should this process die, or freeze, they go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from kafka import KafkaConsumer
from kafka.protocol.metadata import MetadataRequest

from messaging.conf import conf
from messaging.database import own_connection
from messaging.errors import RepartitionRefused
from messaging.kafka.clients import admin, reader
from messaging.kafka.group_lag import group_lag
from messaging.outbox.shard_locks import SENDING_SPACE

#: Seconds between two looks at the groups.
LOOK_SECONDS = 0.5
#: Seconds of silence after which PostgreSQL lets the relays go on without us.
IDLE_SECONDS = 30
#: Longest wait until every broker knows the new partitions.
KNOWN_SECONDS = 30.0

Tell = Callable[[str], Any]


class Hold:
    """The relays of this service are held back as long as this connection lives."""

    def __init__(self, seconds: float) -> None:
        self._connection = own_connection(
            application_name=f"{conf().service}:repartition",
            idle_session_timeout=f"{IDLE_SECONDS}s",
            lock_timeout=f"{int(seconds * 1000)}ms",
            statement_timeout="0",
        )

    def take(self) -> None:
        """Wait until no relay is in the middle of a round. RepartitionRefused when that takes too long."""
        try:
            self._execute("SELECT pg_advisory_lock(%s, 0)", [SENDING_SPACE])
        except psycopg2.errors.LockNotAvailable as error:
            raise RepartitionRefused("a relay did not end its round in time; nothing was changed") from error

    def check(self) -> None:
        """Make sure that the lock is still ours. RepartitionRefused when it is not."""
        try:
            self._execute("SELECT 1")
        except psycopg2.Error as error:
            raise RepartitionRefused(f"the relays were not held back any more; nothing was changed: {error}") from error

    def _execute(self, sql: str, parameters: list[Any] | None = None) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def relays_held_back(seconds: float) -> Iterator[Hold]:
    """Hold back every relay of this service for the with block; their rows wait. RepartitionRefused after `seconds`."""
    hold = Hold(seconds)
    try:
        hold.take()
        yield hold
    finally:
        hold.close()


def repartition(topic: str, count: int, *, seconds: float, ignored: Collection[str] = (), tell: Tell) -> bool:
    """Give `topic` `count` partitions in all; False when it has them already.

    `seconds` bound the wait for the relays and then for the consumer groups; `ignored` groups are not waited for.
    RepartitionRefused, with nothing changed, when it can't be done; KafkaError and psycopg2.Error likewise.
    """
    if not _wanted(topic, count):
        return False
    with relays_held_back(seconds) as hold:
        tell("the relays are held back; events wait in the outbox")
        _drain(topic, hold, seconds, ignored, tell)
        hold.check()
        with admin() as client:
            client.create_partitions({topic: count})
        _wait_known(topic, count, hold)
    tell(f"{topic} has {count} partitions; the relays go on")
    return True


def _wanted(topic: str, count: int) -> bool:
    """Tell whether partitions are to be added. RepartitionRefused when the topic is not ours, or has more."""
    if topic not in conf().topics:
        raise RepartitionRefused(f"{topic} is not a topic of {conf().service}, which owns {', '.join(conf().topics)}")
    with reader() as consumer:
        now = partitions_of(consumer, topic)
    if count < now:
        raise RepartitionRefused(f"{topic} has {now} partitions, and Kafka takes none away")
    return count > now


def partitions_of(consumer: KafkaConsumer, topic: str) -> int:
    """Return how many partitions the topic has; 0 when there is no such topic."""
    return len(consumer.partitions_for_topic(topic) or ())


def _drain(topic: str, hold: Hold, seconds: float, ignored: Collection[str], tell: Tell) -> None:
    """Wait until every group has passed the end of the topic, which does not move while the relays are held back."""
    until = time.monotonic() + seconds
    told: dict[str, int] = {}
    while behind := {group: lag for group, lag in group_lag(topic).items() if lag and group not in ignored}:
        hold.check()
        if time.monotonic() > until:
            raise RepartitionRefused(f"not every group came to the end of {topic}; nothing was changed: {behind}")
        if behind != told:
            told = behind
            tell("waiting for " + ", ".join(f"{group} ({lag} behind)" for group, lag in sorted(behind.items())))
        time.sleep(LOOK_SECONDS)


def _wait_known(topic: str, count: int, hold: Hold) -> None:
    """Wait until every broker tells of the new partitions: the relays' new producers may ask any of them."""
    until = time.monotonic() + KNOWN_SECONDS
    with admin() as client:
        while any(number < count for number in client._manager.run(_partitions_by_broker, client, topic)):
            hold.check()
            if time.monotonic() > until:
                raise RepartitionRefused(f"the partitions of {topic} were added, but not every broker knows them yet")
            time.sleep(LOOK_SECONDS)


async def _partitions_by_broker(client: Any, topic: str) -> list[int]:
    """Ask each broker how many partitions the topic has; kafka-python's public calls ask any one of them."""
    question = MetadataRequest(
        topics=[MetadataRequest.MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False
    )
    brokers = [broker.node_id for broker in client._manager.cluster.brokers()]
    answers = [await client._manager.send(question, node_id=broker) for broker in brokers]
    return [len(answer.topics[0].partitions) for answer in answers]


def others_of_another_size(topic: str, count: int) -> dict[str, int]:
    """Return the topics that this service owns or reads and that have another number of partitions: topic → number."""
    names = {*conf().topics, *(name for topics in conf().groups.values() for name in topics)} - {topic}
    with reader() as consumer:
        numbers = {name: partitions_of(consumer, name) for name in sorted(names)}
    return {name: number for name, number in numbers.items() if number not in (0, count)}
