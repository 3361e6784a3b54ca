"""What stands in a topic on the real broker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from messaging.event import decode
from messaging.inbox.positions import Place
from messaging.kafka.clients import admin


def ends_of(reader: KafkaConsumer, topic: str) -> dict[Place, int]:
    """Return the offset after the last record of each partition."""
    partitions = [TopicPartition(topic, partition) for partition in sorted(reader.partitions_for_topic(topic))]
    return {(tp.topic, tp.partition): offset for tp, offset in reader.end_offsets(partitions).items()}


def cut(reader: KafkaConsumer, topic: str) -> None:
    """Let the topic's log begin where it ends now."""
    with admin() as client:
        client.delete_records({TopicPartition(*place): end for place, end in ends_of(reader, topic).items()})


class Log:
    """The records of a topic since this was made, or from its start."""

    def __init__(self, reader: KafkaConsumer, topic: str, *, from_start: bool = False) -> None:
        self.topic = topic
        self.reader = reader
        self._start = {place: 0 if from_start else end for place, end in ends_of(reader, topic).items()}

    def records(self) -> list[Any]:
        """Return all of them, by partition and offset."""
        ends = ends_of(self.reader, self.topic)
        left = {TopicPartition(*place): end for place, end in ends.items() if end > self._start[place]}
        self.reader.assign(list(left))
        for tp in left:
            self.reader.seek(tp, self._start[(tp.topic, tp.partition)])
        found: list[Any] = []
        while any(self.reader.position(tp) < end for tp, end in left.items()):
            for batch in self.reader.poll(timeout_ms=500).values():
                found += batch
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def numbers(self, key: str) -> list[int]:
        """Return the numbers of a key's notes, in the order of the log."""
        return [number_of(record) for record in self.records() if record.key == key.encode() and is_note(record)]

    def first_numbers(self, key: str) -> list[int]:
        """Return the same without repetitions: the order of first occurrences."""
        return list(dict.fromkeys(self.numbers(key)))


def header(record: Any, name: str) -> str:
    """Return a header's text; KeyError when it is not there."""
    return str(dict(record.headers)[name].decode())


def is_note(record: Any) -> bool:
    return header(record, "ce_type") == "sample.NoteAdded.v1"


def number_of(record: Any) -> int:
    return int(_decode(record).number)


def _decode(record: Any) -> Any:
    return decode(header(record, "ce_type"), record.value)


def answers(records: Iterable[Any], key: str) -> list[str]:
    """Return the results of a key's answers, in the order of the log."""
    return [
        _decode(record).result
        for record in records
        if record.key == key.encode() and header(record, "ce_type") == "sample.NoteAnswered.v1"
    ]
