"""Partitions added under load: the relays are stopped until every group has read the topic to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection, connections
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from messaging.consumer.loop import Consumer
from messaging.errors import RepartitionRefused
from messaging.kafka.clients import admin
from messaging.kafka.group_lag import group_lag
from messaging.kafka.patches.private_calls import keep_joining
from messaging.kafka.topics import create_topics
from messaging.models import OperatorAction
from messaging.outbox.relay import Relay
from messaging.outbox.repartition import relays_blocked
from messaging.outbox.shard_locks import SENDING_SPACE, ShardConnection
from messaging.replay.run import replay_lock
from tests.messaging.process import process
from tests.messaging.rows import envelope, publish_notes, put, waiting
from tests.messaging.test_consumer import applied
from tests.messaging.test_relay import relay_connections
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

TOPIC = django_settings.SAMPLE_TOPIC
KEYS = 12
LONG = 60.0


@pytest.fixture
def topic(own_broker: Any, settings: Any, key: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The sample's topic, of three partitions, new on a broker of the tests' own; its consumers look soon again."""
    settings.MESSAGING = {
        **settings.MESSAGING,
        "BOOTSTRAP_SERVERS": [own_broker.address],
        "GROUPS": {key: [TOPIC]},
        "TOPICS": {TOPIC: {}},
    }
    monkeypatch.setattr("messaging.kafka.clients.METADATA_MS", 2000)
    with admin() as client:
        if TOPIC in client.list_topics():
            client.delete_topics([TOPIC])
            eventually(lambda: TOPIC not in client.list_topics())
    create_topics()
    return TOPIC


def run(*arguments: Any) -> str:
    out = StringIO()
    reason = [] if "--reason" in arguments else ["--reason", "tried"]
    call_command("repartition", *map(str, arguments), *reason, stdout=out, stderr=out)
    return out.getvalue()


def records_of(broker: Any) -> list[Any]:
    """Return the sample topic's records, each partition's in order."""
    consumer = KafkaConsumer(bootstrap_servers=broker.address, group_id=None)
    try:
        parts = [TopicPartition(TOPIC, number) for number in sorted(consumer.partitions_for_topic(TOPIC))]
        consumer.assign(parts)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(parts)
        found: list[Any] = []
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for batch in consumer.poll(timeout_ms=500).values():
                found += batch
        return found
    finally:
        consumer.close()


def partitions(broker: Any) -> int:
    consumer = KafkaConsumer(bootstrap_servers=broker.address, group_id=None)
    try:
        return len(consumer.partitions_for_topic(TOPIC))
    finally:
        consumer.close()


class Load:
    """Publishes a note of each key again and again, from a thread."""

    def __init__(self, key: str) -> None:
        self.keys = [f"{key}-{part}" for part in range(KEYS)]
        self.count = 0

    @contextmanager
    def flowing(self) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=[over], daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _run(self, over: threading.Event) -> None:
        while not over.wait(0.02):
            self.publish()
        connections.close_all()

    def publish(self) -> None:
        put(*[envelope(TOPIC, key, self.count) for key in self.keys])
        self.count += 1

    def is_applied(self) -> bool:
        return all(len(applied(key, "batch")) == self.count for key in self.keys)


def test_partitions_added_under_load_lose_double_and_reorder_nothing(topic, own_broker, key):
    load = Load(key)
    direct = {"BOOTSTRAP_SERVERS": [own_broker.address]}
    with running(Consumer(key, [TOPIC])), running(Relay()) as relay, process("relay", **direct):
        eventually(lambda: relay_connections() == 2, LONG)
        with load.flowing():
            eventually(lambda: applied(load.keys[0]), LONG)
            before, producer = load.count, relay._sender._producer
            said = run(TOPIC, 7, "--reason", "a sale is near")
            eventually(lambda: load.count > before + 50, LONG)
            assert relay._sender._producer is not producer, "it would send to the partitions that it knows"
        eventually(load.is_applied, LONG)

    action = OperatorAction.objects.get()
    assert (action.verb, action.reason, action.targets) == ("repartition", "a sale is near", [["", TOPIC]])
    assert "the relays are stopped" in said
    assert f"{TOPIC} has 7 partitions; the relays continue" in said
    for each in load.keys:
        assert applied(each) == applied(each, "batch") == list(range(load.count))
    assert_keys_moved_once(records_of(own_broker), load.keys)


def assert_keys_moved_once(records: list[Any], keys: list[str]) -> None:
    """Check that keys went to new partitions, and none was ever in two at once: it left the old one for good."""
    moved = 0
    for key in keys:
        times: dict[int, list[int]] = {}
        for record in records:
            if record.key == key.encode():
                times.setdefault(record.partition, []).append(record.timestamp)
        assert len(times) <= 2
        moved += len(times) == 2
        spans = sorted((min(each), max(each)) for each in times.values())
        assert all(first[1] <= second[0] for first, second in zip(spans, spans[1:], strict=False))
    assert moved


def test_events_wait_while_a_group_is_behind_and_leave_when_the_command_gives_up(topic, own_broker, key):
    load = Load(key)
    with running(Relay()):
        load.publish()
        eventually(lambda: waiting() == [])
        with group_at_the_start(key), ThreadPoolExecutor(1) as pool:
            refused = pool.submit(run, TOPIC, 7, "--timeout", 6)
            eventually(is_held_back)
            load.publish()
            time.sleep(1.5)
            assert len(waiting()) == KEYS
            with pytest.raises(CommandError, match=f"these groups did not reach the end of {TOPIC}.*{key}"):
                refused.result()
        eventually(lambda: waiting() == [], LONG)

    assert partitions(own_broker) == 3


def test_the_relays_go_on_when_the_command_is_killed(topic, own_broker, key):
    load = Load(key)
    with running(Relay()):
        load.publish()
        eventually(lambda: waiting() == [])
        with group_at_the_start(key), process("repartition", BOOTSTRAP_SERVERS=[own_broker.address]) as command:
            eventually(is_held_back, LONG)
            load.publish()
            time.sleep(1.5)
            assert len(waiting()) == KEYS
            command.kill()
            eventually(lambda: waiting() == [], LONG)

    assert partitions(own_broker) == 3


def test_a_command_that_stood_still_holds_nobody_back_and_is_told_so(key, reader, monkeypatch):
    monkeypatch.setattr("messaging.outbox.repartition.IDLE_SECONDS", 2)
    with running(Relay()), relays_blocked(LONG) as hold:
        publish_notes((key, 1))
        eventually(lambda: waiting() == [], LONG)

        with pytest.raises(RepartitionRefused, match="the lock on the relays was lost"):
            hold.check()


def test_a_relay_in_the_middle_of_a_round_is_waited_for_until_it_has_lost_its_lock(key, log):
    with process("relay", "freeze before send", RELAY_IDLE_SECONDS=5) as frozen:
        publish_notes((key, 1))
        eventually(frozen.is_frozen)
        with pytest.raises(RepartitionRefused, match="did not end its round"), relays_blocked(0.5):
            raise AssertionError("the relays count as held back, though one has read rows and is about to send them")
        with relays_blocked(LONG):
            eventually(lambda: relay_connections() == 0)  # a session releases its locks before it leaves the list
            frozen.wake()
            eventually(lambda: log.numbers(key) == [1])
            assert waiting() == [(key, 1)]
        eventually(lambda: waiting() == [], LONG)


def test_a_group_that_is_used_no_more_can_be_ignored(topic, own_broker, key):
    load = Load(key)
    with running(Relay()):
        load.publish()
        eventually(lambda: waiting() == [])
    with group_at_the_start(key):
        assert group_lag(TOPIC)[key] > 0
        run(TOPIC, 5, "--ignore-group", key)

    assert partitions(own_broker) == 5


def test_a_member_that_has_committed_nothing_yet_is_waited_for(topic, own_broker, key):
    load = Load(key)
    with running(Relay()):
        load.publish()
        eventually(lambda: waiting() == [])
    stranger = KafkaConsumer(TOPIC, bootstrap_servers=own_broker.address, group_id=f"{key}-new")
    try:
        eventually(lambda: keep_joining(stranger) or stranger.poll(timeout_ms=100) or stranger.assignment())
        assert group_lag(TOPIC)[f"{key}-new"] == KEYS
    finally:
        stranger.close()


def test_partitions_that_are_there_already_are_not_added_again(topic, own_broker):
    assert f"{TOPIC} has 3 partitions already" in run(TOPIC, 3)


def test_topics_of_another_size_are_told_in_a_warning(topic, own_broker, settings):
    settings.MESSAGING = {**settings.MESSAGING, "TOPICS": {TOPIC: {}, django_settings.SAMPLE_UNORDERED: {}}}
    create_topics()

    said = run(TOPIC, 4)

    assert f"Topics with another number of partitions: {django_settings.SAMPLE_UNORDERED} (3)" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["somebodys.events", 7], "is not a topic of sample"),
        ([TOPIC, 2], "has 3 partitions, and Kafka cannot remove partitions"),
        ([TOPIC, 7, "--reason", " "], "repartition needs --reason TEXT"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anybody_is_held_back(topic, arguments, message):
    with pytest.raises(CommandError, match=message):
        run(*arguments)


def test_kafka_is_told_of_a_position_that_a_killed_worker_could_not_tell(topic, own_broker, key):
    direct = {"BOOTSTRAP_SERVERS": [own_broker.address]}
    with running(Relay()), process("consumer", "kill after commit", group=key, **direct) as killed:
        put(envelope(TOPIC, key, 1))
        killed.wait_killed()
    assert group_lag(TOPIC).get(key, 1) >= 1  # a relay may send twice

    with running(Consumer(key, [TOPIC])):
        eventually(lambda: group_lag(TOPIC).get(key) == 0, LONG)


def is_held_back() -> bool:
    """Tell whether somebody has the lock that the relays share while they send."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
            " WHERE datname = current_database() AND locktype = 'advisory' AND classid = %s AND granted"
            " AND mode = 'ExclusiveLock'",
            [SENDING_SPACE],
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def group_at_the_start(name: str) -> Iterator[None]:
    """A group of somebody else's, whose offsets stand at the start of the topic and do not move."""
    consumer = KafkaConsumer(
        bootstrap_servers=django_settings.MESSAGING["BOOTSTRAP_SERVERS"], group_id=name, enable_auto_commit=False
    )
    parts = [TopicPartition(TOPIC, number) for number in range(3)]
    consumer.assign(parts)
    consumer.commit({tp: OffsetAndMetadata(0, "", -1) for tp in parts})
    consumer.close()
    yield


def test_a_replay_holds_no_relay_back():
    """It has an advisory lock too, on numbers of its own."""
    shards = ShardConnection()
    try:
        with replay_lock(TOPIC):
            shards.share()
            assert shards.may_send()
            assert len(shards.owned) > 0
    finally:
        shards.close()
