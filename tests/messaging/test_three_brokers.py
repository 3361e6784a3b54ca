"""Three brokers: a leader killed under load loses and reorders nothing, and events go on by themselves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections, models
from kafka import KafkaConsumer

from messaging.consumer.loop import Consumer
from messaging.kafka.topics import create_topics
from messaging.models import InboxRow
from messaging.outbox.relay import Relay
from tests.messaging.cluster import NODES, Cluster
from tests.messaging.log import Log, is_note, number_of
from tests.messaging.rows import publish_notes, waiting
from tests.messaging.sample.models import Applied
from tests.messaging.test_consumer import applied
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

TOPIC = django_settings.SAMPLE_TOPIC
KEYS, PARTITIONS, KILLS = 24, 6, 2
PAUSE_SECONDS = 0.2
LONG = 180.0


@pytest.fixture(scope="module")
def three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    nodes = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.kill_all()


@pytest.fixture
def cluster(three_brokers: Cluster, settings: Any, key: str) -> Cluster:
    """The cluster that everything in the test talks to, with all replicas in step."""
    settings.MESSAGING = {
        **settings.MESSAGING,
        "BOOTSTRAP_SERVERS": three_brokers.addresses,
        "REPLICATION_FACTOR": len(NODES),
        "PARTITIONS": PARTITIONS,
        "GROUPS": {key: [TOPIC]},
    }
    create_topics()
    eventually(lambda: three_brokers.in_sync(TOPIC), LONG)
    return three_brokers


@contextmanager
def log_of(cluster: Cluster) -> Iterator[Log]:
    """Yield the topic's records, read by a consumer that knew nothing of the cluster before."""
    eventually(lambda: cluster.in_sync(TOPIC), LONG)
    consumer = KafkaConsumer(bootstrap_servers=cluster.addresses, group_id=None)
    try:
        yield Log(consumer, TOPIC, from_start=True)
    finally:
        consumer.close()


class Load:
    """Publishes a note of each key again and again, from a thread, for as long as the with block lasts."""

    def __init__(self, key: str) -> None:
        self.keys = [f"{key}-{part}" for part in range(KEYS)]
        self.count = 0
        self._over = threading.Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            publish_notes(*[(key, self.count) for key in self.keys])
            self.count += 1
        connections.close_all()

    def is_applied(self, count: int | None = None) -> bool:
        rows = Applied.objects.filter(handler="batch", key__in=self.keys).values_list("key")
        done = dict(rows.annotate(models.Count("id")))
        return min(done.get(key, 0) for key in self.keys) >= (count or self.count)


def test_a_leader_killed_under_load_loses_and_reorders_nothing_and_events_go_on(cluster, key):
    load, stood = Load(key), []
    with running(Consumer(key, [TOPIC])), running(Relay()):
        with load.flowing():
            eventually(lambda: load.count > 10 and load.is_applied(10), LONG)
            for partition in range(KILLS):
                stood += kill_leader(cluster, load, partition)
        eventually(lambda: waiting() == [] and load.is_applied(), LONG)

    print(f"\nkilled leaders' partitions stood still for {median(stood):.1f} s (median), {max(stood):.1f} s at most")  # noqa: T201
    with log_of(cluster) as log:
        numbers = numbers_by_key(log)
    for each in load.keys:
        assert list(dict.fromkeys(numbers[each])) == list(range(load.count))
        assert applied(each) == applied(each, "batch") == list(range(load.count))


def kill_leader(cluster: Cluster, load: Load, partition: int) -> list[float]:
    """Kill the leader of a partition, start it again once all keys go on, and return how long its partitions stood."""
    leaders = cluster.leaders(TOPIC)
    victim = leaders[partition]
    killed = datetime.now(UTC)
    cluster.kill(victim)
    count = load.count + 10
    eventually(lambda: load.count > count and load.is_applied(count), LONG)
    stood = [standstill(part, killed) for part, leader in leaders.items() if leader == victim]
    cluster.start([victim])
    eventually(lambda: cluster.in_sync(TOPIC), LONG)
    return stood


def standstill(partition: int, killed: datetime) -> float:
    """Return the longest time without an event of the partition received, from the kill on, in seconds."""
    since = InboxRow.objects.filter(partition=partition, received_at__gte=killed - timedelta(seconds=2))
    times = sorted(set(since.values_list("received_at", flat=True)))
    return max((later - earlier).total_seconds() for earlier, later in zip(times, times[1:], strict=False))


def numbers_by_key(log: Log) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for record in log.records():
        if is_note(record):
            numbers.setdefault(record.key.decode(), []).append(number_of(record))
    return numbers


def test_what_only_a_leader_has_is_not_acknowledged_and_so_not_lost_with_it(cluster, key):
    with running(Relay()), ExitStack() as woken:
        publish_notes((key, 0))
        eventually(lambda: waiting() == [], LONG)
        with log_of(cluster) as log:
            [partition] = {record.partition for record in log.records() if record.key == key.encode()}
        leader = cluster.leaders(TOPIC)[partition]
        for follower in set(NODES) - {leader}:
            cluster.signal(follower, signal.SIGSTOP)
            woken.callback(cluster.signal, follower, signal.SIGCONT)
        publish_notes((key, 1))
        threading.Event().wait(2)
        assert waiting() == [(key, 1)]

        cluster.kill(leader)
        woken.close()
        eventually(lambda: waiting() == [], LONG)
        cluster.start([leader])

    with log_of(cluster) as log:
        assert log.first_numbers(key) == [0, 1]
