"""Records that anybody could write into every topic, drawn from a seed: random bytes, and well-formed ones."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import hypothesis
import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import contracts.coupon
import contracts.order
import contracts.product
import contracts.user
from config.topology import TOPICS
from messaging.event import all_specs
from messaging.kafka.records import RawRecord
from tests.contracts import any_event
from tests.journeys.foreign_client import ForeignClient

AT_ONCE = 50
#: So many records are one example to hypothesis, which takes longer for an example than for a record.
DRAWN_AT_ONCE = 10
#: The well-formed records are drawn from these.
CONTRACTS = (contracts.coupon, contracts.order, contracts.product, contracts.user)


@dataclass(frozen=True)
class Written:
    """A record that stands in a topic. Without a `type` nobody can say whose business it is; `id` is '' without one."""

    topic: str
    partition: int
    offset: int
    type: str | None
    id: str
    #: No value and no header, in a compacted topic: how Kafka's own tools remove a key. No handler wants it.
    is_plain_tombstone: bool = False

    @property
    def place(self) -> str:
        """The id under which it is reported when its own is unreadable."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def drawn(number: int, seed: int) -> list[RawRecord]:
    """Return so many records of random bytes for each topic, and as many well-formed ones for each that has events.

    They are mixed, as a flood would be.
    """
    with_events = {spec.topic for spec in all_specs()}
    some = _drawn(any_event.random_bytes(TOPICS), number, seed)
    kinds = [_combined(some, topic, seed) for topic in TOPICS]
    kinds += [_drawn(any_event.well_formed([topic]), number, seed) for topic in sorted(with_events & set(TOPICS))]
    return [record for together in zip(*kinds, strict=True) for record in together]


def _combined(records: list[RawRecord], topic: str, seed: int) -> list[RawRecord]:
    """Return other records of random bytes: the keys, headers and values of these, which know nothing of each other.

    To draw twenty times as many would take a minute.
    """
    chance = random.Random(f"{topic} {seed}")
    keys, headers, values = (chance.sample(records, len(records)) for _ in range(3))
    return [
        msgspec.structs.replace(each, topic=topic, headers=other.headers, value=another.value)
        for each, other, another in zip(keys, headers, values, strict=True)
    ]


def _drawn(strategy: st.SearchStrategy[RawRecord], number: int, seed: int) -> list[RawRecord]:
    found: list[RawRecord] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=-(-number // DRAWN_AT_ONCE),
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(strategy, min_size=DRAWN_AT_ONCE, max_size=DRAWN_AT_ONCE))
    def collect(records: list[RawRecord]) -> None:
        found.extend(records)

    collect()
    return found[:number]


def write(log: ForeignClient, records: list[RawRecord], seconds: float) -> Iterator[Written]:
    """Write the records evenly over some time; a compacted topic takes none without a key."""
    began = time.monotonic()
    for begin in range(0, len(records), AT_ONCE):
        time.sleep(max(0.0, began + seconds * begin / len(records) - time.monotonic()))
        some = records[begin : begin + AT_ONCE]
        places = log.write_all((each.topic, _key_of(each), each.value, each.headers) for each in some)
        for record, (partition, offset) in zip(some, places, strict=True):
            identity = _text(record, "ce_id") or ""
            yield Written(record.topic, partition, offset, type_of(record), identity, _is_plain_tombstone(record))


def _key_of(record: RawRecord) -> bytes | None:
    return record.key if record.key is not None or not TOPICS[record.topic].compacted else b""


def _is_plain_tombstone(record: RawRecord) -> bool:
    return record.value is None and not record.headers and TOPICS[record.topic].compacted


def type_of(record: RawRecord) -> str | None:
    """Return the type that a record says it has, None when it says none that is text."""
    return _text(record, "ce_type")


def _text(record: RawRecord, header: str) -> str | None:
    value = next((value for name, value in record.headers if name == header and value), None)
    try:
        return value.decode() if value else None
    except UnicodeDecodeError:
        return None
