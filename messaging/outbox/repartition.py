"""Adds partitions to a topic without reordering the events of a key.

After the change a key's events go to another partition. So this command stops the relays of the topic's owner, waits
until every consumer group has read the topic to its end, and only then adds the partitions. Each relay then builds a
new producer, which knows them. An advisory lock stops the relays: if this process dies or freezes, they continue.
See `docs/explanation/publishing.md`, "Adding partitions".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from messaging.conf import conf
from messaging.database import own_connection
from messaging.errors import RepartitionRefused
from messaging.kafka.clients import admin, reader
from messaging.kafka.group_lag import group_lag
from messaging.kafka.patches.private_calls import partitions_by_broker
from messaging.kafka.topics import partition_count
from messaging.outbox.shard_locks import SENDING_SPACE

#: Seconds between two questions about the groups' lag.
LOOK_SECONDS = 0.5
#: Seconds without a statement after which PostgreSQL ends this connection, and the relays continue.
IDLE_SECONDS = 30
#: Longest wait until every broker knows the new partitions.
KNOWN_SECONDS = 30.0

Report = Callable[[str], Any]


class RelayBlock:
    """Stops the relays of this service for as long as its connection lives."""

    def __init__(self, seconds: float) -> None:
        self._connection = own_connection(
            application_name=f"{conf().service}:repartition",
            idle_session_timeout=f"{IDLE_SECONDS}s",
            lock_timeout=f"{int(seconds * 1000)}ms",
            statement_timeout="0",
        )

    def take(self) -> None:
        """Wait until no relay is inside a round. RepartitionRefused when that takes too long."""
        try:
            self._execute("SELECT pg_advisory_lock(%s, 0)", [SENDING_SPACE])
        except psycopg2.errors.LockNotAvailable as error:
            raise RepartitionRefused(
                "a relay did not end its round in time; nothing was changed. Run it again with a larger --timeout"
            ) from error

    def check(self) -> None:
        """Check that this process still holds the lock. RepartitionRefused when it does not."""
        try:
            self._execute("SELECT 1")
        except psycopg2.Error as error:
            raise RepartitionRefused(
                f"the lock on the relays was lost while waiting; run the same command again: {error}"
            ) from error

    def _execute(self, sql: str, parameters: list[Any] | None = None) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def relays_blocked(seconds: float) -> Iterator[RelayBlock]:
    """Stop every relay of this service for the with block; rows wait. RepartitionRefused after `seconds`."""
    block = RelayBlock(seconds)
    try:
        block.take()
        yield block
    finally:
        block.close()


def repartition(topic: str, count: int, *, seconds: float, ignored: Collection[str] = (), report: Report) -> bool:
    """Give `topic` `count` partitions in all; False when it has them already.

    `seconds` bound the wait for the relays and then for the consumer groups; `ignored` groups are not waited for.
    RepartitionRefused, with nothing changed, when it can't be done; KafkaError and psycopg2.Error likewise.
    """
    if not _wanted(topic, count):
        return False
    with relays_blocked(seconds) as block:
        report("the relays are stopped; events wait in the outbox")
        _wait_for_groups(topic, block, seconds, ignored, report)
        block.check()
        with admin() as client:
            client.create_partitions({topic: count})
        _wait_known(topic, count, block)
    report(f"{topic} has {count} partitions; the relays continue")
    return True


def _wanted(topic: str, count: int) -> bool:
    """Return whether to add partitions. RepartitionRefused when another service owns the topic, or it has more."""
    if topic not in conf().topics:
        raise RepartitionRefused(f"{topic} is not a topic of {conf().service}, which owns {', '.join(conf().topics)}")
    with reader() as consumer:
        now = partition_count(consumer, topic)
    if count < now:
        raise RepartitionRefused(f"{topic} has {now} partitions, and Kafka cannot remove partitions")
    return count > now


def _wait_for_groups(topic: str, block: RelayBlock, seconds: float, ignored: Collection[str], report: Report) -> None:
    """Wait until every group has passed the end of the topic, which does not move while the relays are stopped."""
    until = time.monotonic() + seconds
    reported: dict[str, int] = {}
    while behind := {group: lag for group, lag in group_lag(topic).items() if lag and group not in ignored}:
        block.check()
        if time.monotonic() > until:
            raise RepartitionRefused(
                f"these groups did not reach the end of {topic}: {behind}. Nothing was changed. Start their workers,"
                " or use --ignore-group"
            )
        if behind != reported:
            reported = behind
            report("waiting for " + ", ".join(f"{group} ({lag} behind)" for group, lag in sorted(behind.items())))
        time.sleep(LOOK_SECONDS)


def _wait_known(topic: str, count: int, block: RelayBlock) -> None:
    """Wait until every broker reports the new partitions: the relays' new producers may ask any of them."""
    until = time.monotonic() + KNOWN_SECONDS
    with admin() as client:
        while any(number < count for number in partitions_by_broker(client, topic)):
            block.check()
            if time.monotonic() > until:
                raise RepartitionRefused(f"the partitions of {topic} were added, but not every broker knows them yet")
            time.sleep(LOOK_SECONDS)


def others_of_another_size(topic: str, count: int) -> dict[str, int]:
    """Return the topics that this service owns or reads and that have another number of partitions: topic → number."""
    names = {*conf().topics, *(name for topics in conf().groups.values() for name in topics)} - {topic}
    with reader() as consumer:
        numbers = {name: partition_count(consumer, name) for name in sorted(names)}
    return {name: number for name, number in numbers.items() if number not in (0, count)}
