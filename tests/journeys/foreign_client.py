"""A Kafka client of another make (librdkafka): it knows CloudEvents and murmur2, and nothing of this project."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

SECONDS = 15.0
#: For a question that is asked again until the answer fits.
ASK_SECONDS = 5.0
UNREACHABLE = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN)
TAKING_OVER = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    *UNREACHABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
)
HAS_MEMBER = (KafkaError.NON_EMPTY_GROUP, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS)


#: A record that is to be written: its topic, key, value and headers, each as it may be.
Loose = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes | None]]]


@dataclass(frozen=True)
class Record:
    """A record as it stands in the log."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: dict[str, str]
    value: bytes

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.value)
        return data

    @property
    def type(self) -> str:
        """The event's name, without its service and version."""
        return self.headers["ce_type"].split(".")[1]

    @property
    def id(self) -> str:
        return self.headers["ce_id"]


#: It reads committed, by default: a partition may end with records that are not given to it, or a marker.
READING = {"group.id": "journeys", "enable.auto.commit": False, "enable.partition.eof": True}


class ForeignClient:
    """Reads and writes our topics; waits for the broker for up to `seconds`."""

    def __init__(self, bootstrap_servers: str, seconds: float = SECONDS) -> None:
        server = {"bootstrap.servers": bootstrap_servers, "log_level": 2}  # not of every refused connection
        self._seconds = seconds
        self._server = server
        self._admin = AdminClient(server)
        self._consumer = Consumer(server | READING)
        self._producer = Producer(server | {"partitioner": "murmur2_random", "enable.idempotence": True})

    def renew(self) -> None:
        """Read with a new client: an older one does not find topics that were made again since."""
        self._consumer.close()
        self._consumer = Consumer(self._server | READING)

    def abort(self, records: Iterable[Record], seconds: float) -> None:
        """Write records in a transaction, leave it open for so many seconds, and abort it."""
        own = {"transactional.id": f"foreign-{uuid4()}", "transaction.timeout.ms": 10_000}
        writing = Producer(self._server | own)
        writing.init_transactions(self._seconds)
        writing.begin_transaction()
        try:
            for each in records:
                writing.produce(each.topic, each.value, each.key, headers=list(each.headers.items()))
            writing.flush(self._seconds)
            time.sleep(seconds)
            writing.abort_transaction(self._seconds)
        finally:
            Producer(self._server | own).init_transactions(self._seconds)  # ends what a broker in trouble left open

    def answers(self) -> bool:
        """Say whether the broker takes requests."""
        try:
            return bool(self._admin.list_topics(timeout=1.0).brokers)
        except KafkaException as error:
            assert error.args[0].code() in UNREACHABLE, error
            return False

    def end(self, topic: str, partition: int) -> int:
        """Return the offset after the partition's last record; asked again while a restarted broker takes over."""
        return self._ends([(topic, partition)])[topic, partition]

    def ends(self, *topics: str) -> dict[tuple[str, int], int]:
        """Return the end of every partition of the topics."""
        known = self._admin.list_topics(timeout=self._seconds).topics
        return self._ends([(topic, number) for topic in topics for number in known[topic].partitions])

    def _ends(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Ask for all of them in one request: this is asked many times in a second."""
        wanted = {TopicPartition(*place): OffsetSpec.latest() for place in places}
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                found = self._admin.list_offsets(wanted, request_timeout=self._seconds)
                return {(place.topic, place.partition): int(end.result().offset) for place, end in found.items()}
            except KafkaException as error:
                if error.args[0].code() not in TAKING_OVER or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def set_group_offset(self, group: str, topic: str, partition: int, offset: int) -> bool:
        """Move a group; False while it still has a member."""
        place = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])
        try:
            [moved] = (
                self._admin.alter_consumer_group_offsets([place])[group].result(timeout=self._seconds).topic_partitions
            )
        except KafkaException as error:
            assert error.args[0].code() in HAS_MEMBER, error
            return False
        assert moved.error is None or moved.error.code() in HAS_MEMBER, moved.error
        return moved.error is None

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Let the log of a partition begin at `offset`, as retention does."""
        place = TopicPartition(topic, partition, offset)
        self._admin.delete_records([place])[place].result(timeout=self._seconds)

    def group_offset(self, group: str, topic: str, partition: int) -> int:
        """Return the group's committed offset."""
        place = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
        [found] = self._admin.list_consumer_group_offsets([place])[group].result(timeout=self._seconds).topic_partitions
        return int(found.offset)

    def shares(self, group: str) -> list[int]:
        """Return how many partitions each member of a group has; nothing while the broker does not say.

        Asked with a client of its own: an older one may still wait for a coordinator that was restarted since.
        """
        admin = AdminClient(self._server)
        try:
            found = admin.describe_consumer_groups([group])[group].result(timeout=ASK_SECONDS)
        except TimeoutError:
            return []
        return [len(member.assignment.topic_partitions) for member in found.members if member.assignment]

    def read(self, topic: str, key: object = None) -> list[Record]:
        """Return everything that the topic holds now, or what it holds of one key, by partition and offset."""
        wanted = None if key is None else str(key).encode()
        return sorted(self._records(topic, key=wanted), key=lambda record: (record.partition, record.offset))

    def tail(self, topic: str, each: int) -> list[Record]:
        """Return about the last `each` records of every partition of the topic."""
        ends = self.ends(topic)
        return list(self._records(topic, {number: max(0, end - each) for (_, number), end in ends.items()}))

    def _records(
        self, topic: str, starts: Mapping[int, int] | None = None, key: bytes | None = None
    ) -> Iterator[Record]:
        left = {number: end for (_, number), end in self.ends(topic).items() if end > 0}
        begin = {number: OFFSET_BEGINNING for number in left} | dict(starts or {})
        self._consumer.assign([TopicPartition(topic, number, begin[number]) for number in left])
        while left:
            message = self._consumer.poll(self._seconds)
            assert message is not None, f"{topic} can't be read: nothing came in {self._seconds} s"
            if (error := message.error()) and error.code() == KafkaError._PARTITION_EOF:
                left.pop(message.partition(), None)
                continue
            assert error is None, f"{topic} can't be read: {error}"
            if key is None or message.key() == key:
                yield _record(message)
            if message.offset() + 1 >= left.get(message.partition(), 0):
                left.pop(message.partition(), None)
        self._consumer.unassign()

    def publish(self, topic: str, key: str, value: bytes, headers: Mapping[str, str]) -> None:
        """Write a record and wait for its acknowledgement."""
        self.write(topic, key.encode(), value, headers)

    def write(self, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, str]) -> tuple[int, int]:
        """Write a record of whatever bytes, wait for its acknowledgement, and return its partition and offset."""
        written: list[tuple[KafkaError | None, Message]] = []
        pairs = list(headers.items())
        self._producer.produce(topic, value, key, headers=pairs, on_delivery=lambda *answer: written.append(answer))
        assert self._producer.flush(self._seconds) == 0, f"{topic} can't be written"
        [(error, message)] = written
        assert error is None, f"{topic} can't be written: {error}"
        return message.partition(), message.offset()

    def write_all(self, records: Iterable[Loose]) -> list[tuple[int, int]]:
        """Write records of whatever bytes; return the partition and offset of each, once all are acknowledged."""
        places: dict[int, tuple[int, int]] = {}

        def delivered(number: int, error: KafkaError | None, message: Message) -> None:
            assert error is None, f"{message.topic()} can't be written: {error}"
            places[number] = (message.partition(), message.offset())

        for number, (topic, key, value, headers) in enumerate(records):
            self._producer.produce(topic, value, key, headers=headers, on_delivery=partial(delivered, number))
        assert self._producer.flush(self._seconds) == 0, "not all could be written"
        return [places[number] for number in sorted(places)]

    def publish_again(self, record: Record, times: int) -> None:
        """Write copies of a record, its id among them."""
        for _ in range(times):
            self._producer.produce(record.topic, record.value, record.key, headers=list(record.headers.items()))
        assert self._producer.flush(self._seconds) == 0

    def publish_event(self, topic: str, kind: str, key: str, data: Mapping[str, Any]) -> str:
        """Write a well-formed CloudEvent (binary mode) and return its id; `kind` is a type such as x.Happened.v1."""
        identity = f"foreign-{uuid4()}"
        headers = {
            "ce_specversion": "1.0",
            "ce_id": identity,
            "ce_source": "/foreign",
            "ce_type": kind,
            "ce_subject": key,
            "ce_time": "2026-01-02T03:04:05Z",
            "content-type": "application/json",
        }
        self.publish(topic, key, json.dumps(data).encode(), headers)
        return identity

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def _record(message: Message) -> Record:
    headers = {name: bytes(value or b"").decode(errors="replace") for name, value in message.headers() or []}
    key = bytes(message.key() or b"").decode(errors="replace")
    return Record(message.topic(), message.partition(), message.offset(), key, headers, message.value() or b"")
