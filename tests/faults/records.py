"""Records that nobody should have written: events once more, late ones, and such as nobody can read."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from config.topology import TOPICS
from tests.faults.plan import Fault
from tests.journeys.foreign_client import ForeignClient, Record

#: How many of a topic's last records are looked at.
TAIL = 50
MANY = 10
#: An event that any operator may let be published again, under a new id: its answers come from the decision rows.
ASKED_AGAIN = "order.OrderCreated.v1"

FOREIGN = "/foreign"
#: The relay publishes 32 MB a round: these dead letters are more. The issue's own case is 500 of 900 kB.
LARGE_RECORDS, LARGE_BYTES = 40, 900_000
#: How the ids of unreadable records begin.
CORRUPT = "corrupt-"

KNOWN_TYPES = {
    "order.events": "order.OrderCreated.v1",
    "product.events": "product.StockReduced.v1",
    "coupon.events": "coupon.CouponUsed.v1",
    "product.catalog": "product.ProductChanged.v1",
    "user.events": "user.UserChanged.v1",
    "coupon.claims": "coupon.CouponClaimRequested.v1",
}


@dataclass(frozen=True)
class Corrupted:
    """A record that nobody can read: where it stands, its key, and the type that it says it has, '' without one."""

    place: str
    topic: str
    key: str
    type: str

    @classmethod
    def of(cls, record: Record) -> Corrupted:
        return cls(place_of(record), record.topic, record.key, record.headers.get("ce_type", ""))


def publish_again(client: ForeignClient, fault: Fault, chance: random.Random) -> int:
    """Write some of the topic's last records again, as they are, several times."""
    records = [record for record in client.tail(fault.target, TAIL) if is_readable(record)]
    chosen = chance.sample(records, min(MANY, len(records)))
    for record in chosen:
        client.publish_again(record, int(fault.detail))
    return len(chosen) * int(fault.detail)


def publish_late(client: ForeignClient, fault: Fault, chance: random.Random) -> int:
    """Write old records again, behind whatever came after them and in any order; a request also under a new id."""
    records = [record for record in client.read(fault.target) if is_readable(record)]
    chosen = chance.sample(records, min(MANY, len(records)))
    for record in chosen:
        client.publish_again(record, 1)
        if record.headers["ce_type"] == ASKED_AGAIN:
            identity = str(UUID(int=chance.getrandbits(128), version=4))
            headers = record.headers | {"ce_id": f"foreign-{identity}", "ce_causationid": record.id}
            client.publish(record.topic, record.key, record.value, headers)
    return len(chosen)


def publish_from_two_sources(client: ForeignClient, fault: Fault, chance: random.Random) -> int:
    """Ask again for orders, each time under the id that the event of another order has, from another source."""
    chosen = _requests(client, fault, chance)
    for record, other in zip(chosen, [*chosen[1:], *chosen[:1]], strict=True):
        if record.key != other.key:
            headers = record.headers | {"ce_id": other.id, "ce_source": FOREIGN, "ce_causationid": record.id}
            client.publish(record.topic, record.key, record.value, headers)
    return len(chosen)


def publish_upper_case(client: ForeignClient, fault: Fault, chance: random.Random) -> int:
    """Ask again for orders, the key in another spelling, so mostly in another partition."""
    chosen = _requests(client, fault, chance)
    for record in chosen:
        identity = str(UUID(int=chance.getrandbits(128), version=4))
        headers = record.headers | {"ce_id": f"foreign-{identity}", "ce_causationid": record.id}
        client.publish(record.topic, record.key.upper(), record.value, headers)
    return len(chosen)


def _requests(client: ForeignClient, fault: Fault, chance: random.Random) -> list[Record]:
    """Return some of the last orders that were placed."""
    last = client.tail(fault.target, TAIL)
    created = [each for each in last if each.headers.get("ce_type") == ASKED_AGAIN and is_of_its_owner(each)]
    return chance.sample(created, min(MANY, len(created)))


def corrupt_largely(client: ForeignClient, fault: Fault, chance: random.Random) -> int:
    """Write unreadable records of the largest size, more than one page of the relay's is to hold."""
    for _ in range(LARGE_RECORDS):
        key, _, headers = _unreadable(KNOWN_TYPES[fault.target], chance)[0]
        client.write(fault.target, key, chance.randbytes(LARGE_BYTES), headers)
    return LARGE_RECORDS


def corrupt(client: ForeignClient, fault: Fault, chance: random.Random) -> int:
    """Write records of every unreadable kind, each with a key that nobody else has, or without one.

    The broker itself refuses a record without a key in a compacted topic.
    """
    unreadable = _unreadable(KNOWN_TYPES[fault.target], chance)
    wanted = [each for each in unreadable if each[0] is not None or not TOPICS[fault.target].compacted]
    for key, value, headers in wanted:
        client.write(fault.target, key, value, headers)
    return len(wanted)


def abort_orders(client: ForeignClient, fault: Fault, chance: random.Random) -> int:
    """Write orders that never were in a transaction that stays open for a while and is aborted then."""
    chosen = _requests(client, fault, chance)
    client.abort([_never_was(record, chance) for record in chosen], fault.seconds)
    return len(chosen)


def _never_was(record: Record, chance: random.Random) -> Record:
    order, event = (str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(2))
    value = json.dumps(record.data | {"order_id": order}).encode()
    return replace(record, key=order, value=value, headers=record.headers | {"ce_id": f"aborted-{event}"})


def corrupted_in(client: ForeignClient) -> list[Corrupted]:
    """Return what corrupt() wrote, acknowledged or not: a record of the system itself always has an id."""
    records = [record for topic in KNOWN_TYPES for record in client.read(topic)]
    return [Corrupted.of(each) for each in records if not is_readable(each)]


def is_readable(record: Record) -> bool:
    """Say whether a record is none of those that corrupt() wrote."""
    return not record.headers.get("ce_id", CORRUPT).startswith(CORRUPT)


Written = tuple[bytes | None, bytes | None, dict[str, str]]


def _unreadable(kind: str, chance: random.Random) -> list[Written]:
    def key() -> bytes:
        return str(UUID(int=chance.getrandbits(128), version=4)).encode()

    headers = {"ce_specversion": "1.0", "ce_id": f"{CORRUPT}{key().decode()}", "ce_source": "/foreign", "ce_type": kind}
    return [
        (key(), chance.randbytes(100), headers),
        (key(), b"[1, 2", headers),  # no JSON
        (key(), b"{}", headers),  # no fields
        (key(), b"{}", {}),  # no headers
        (key(), b"{}", headers | {"ce_type": kind.replace(".v1", ".v99")}),
        (key(), None, headers),  # a tombstone
        (None, b"{}", headers),  # no key
        (b"\xff" + chance.randbytes(8), b"{}", headers),  # a key that is no text
    ]


def first_occurrences(records: Iterable[Record]) -> list[Record]:
    """Return the records without those whose id and source stood in the log before."""
    seen: dict[tuple[str, str], Record] = {}
    for record in records:
        seen.setdefault(identity_of(record), record)
    return list(seen.values())


def identity_of(record: Record) -> tuple[str, str]:
    """Return what makes a record one event: its source and its id, or its place where it has no id."""
    return source_of(record), record.headers.get("ce_id", place_of(record))


def source_of(record: Record) -> str:
    """Return the source of a record: that of the topic's owner where it names none."""
    return record.headers.get("ce_source") or own_source(record.topic)


def own_source(topic: str) -> str:
    """Return the source of the events that a topic's owner publishes."""
    return f"/{topic.split('.')[0]}"


def is_of_its_owner(record: Record) -> bool:
    """Say whether a record is one that the system itself has written, or a copy of it."""
    return source_of(record) == own_source(record.topic) and not record.headers["ce_id"].startswith("foreign-")


def place_of(record: Record) -> str:
    """Return where a record stands, which is its name when it has no other."""
    return f"{record.topic}/{record.partition}/{record.offset}"
