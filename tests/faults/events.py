"""Who has to apply which event, and what the four databases and the log say about it.

Nothing of the application is used: the table below is written from the specification, the rest is read with psycopg2
and librdkafka.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from config.topology import SERVICES, TOPICS
from tests.faults.records import first_occurrences, identity_of, place_of
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient, Record

PRODUCT, COUPON, ORDER, USER = "product", "coupon", "order", "user"
#: Event type → the (service, handler) pairs that have to apply it.
WANTED: dict[str, tuple[tuple[str, str], ...]] = {
    "order.OrderCreated.v1": ((PRODUCT, "product.on_order_created"), (COUPON, "coupon.on_order_created")),
    "order.OrderCanceled.v1": (
        (PRODUCT, "product.on_order_canceled"),
        (COUPON, "coupon.on_order_canceled"),
        (USER, "user.on_order_ended"),
    ),
    "order.OrderConfirmed.v1": ((USER, "user.on_order_ended"),),
    **{
        f"product.{name}.v1": ((ORDER, "order.on_answer"),)
        for name in ("StockReduced", "StockReduceFailed", "StockRestored")
    },
    **{
        f"coupon.{name}.v1": ((ORDER, "order.on_answer"),)
        for name in ("CouponUsed", "CouponUseFailed", "CouponRestored")
    },
    "product.ProductChanged.v1": ((ORDER, "order.on_product_changed"),),
    "user.UserChanged.v1": ((ORDER, "order.on_user_changed"), (COUPON, "coupon.on_user_changed")),
    "coupon.CouponClaimRequested.v1": ((COUPON, "coupon.on_coupon_claim_requested"),),
}
#: What asks the participants for an answer.
REQUESTS = ("order.OrderCreated.v1", "order.OrderCanceled.v1")
#: States of an inbox row in which the event has had its effect.
APPLIED = ("done", "exhausted")

_INBOX = """
    SELECT coalesce(ce_id, event_id), coalesce(nullif(source, ''), '/' || split_part(topic, '.', 1)), handler, topic,
           partition, key, "offset", state, received_at FROM messaging_inbox ORDER BY id
"""
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: What the saga's rows say was done, in the order in which it was done.
_HISTORY = "SELECT order_id::text, event_id, step, event FROM order_app_sagahistory WHERE event_id <> '' ORDER BY id"


@dataclass(frozen=True)
class Applied:
    """An inbox row."""

    service: str
    event_id: str
    source: str
    handler: str
    topic: str
    partition: int
    key: str
    offset: int
    state: str
    received_at: Any

    @property
    def identity(self) -> tuple[str, str]:
        return self.source, self.event_id


@dataclass(frozen=True)
class HistoryRow:
    """A row of a saga's history that tells of an event."""

    order: str
    event_id: str
    step: str
    event: str


class Events:
    """The log, the inboxes and the sagas' history, read once; without records that the test wrote to be unreadable."""

    def __init__(self, databases: Databases, log: ForeignClient, unreadable: Collection[str] = ()) -> None:
        topics = [name for name in TOPICS if not name.endswith((".status", ".dead-letters"))]
        #: Each event where it stands first, by topic, partition and offset; only what a reader could take for one.
        self.log = [
            record
            for topic in topics
            for record in first_occurrences(each for each in log.read(topic) if place_of(each) not in unreadable)
            if _is_event(record)
        ]
        self.by_identity = {identity_of(record): record for record in self.log}
        self.by_id = {record.id: record for record in self.log}
        plain = [record for record in self.log if key_of(record) == record.key]
        #: Without those whose key is spelled otherwise: in their partition they have no place among the key's events.
        self._by_key = _grouped(((record.topic, record.key), record) for record in plain)
        self._by_cause = _grouped(((record.topic, cause_of(record), key_of(record)), record) for record in self.log)
        self.inbox = [Applied(name, *row) for name in SERVICES for row in databases.ask(name, _INBOX)]
        self.history = [HistoryRow(*row) for row in databases.ask("order", _HISTORY)]

    def of(self, topic: str, key: str) -> list[Record]:
        """Return the events of a key, in the order of the log."""
        return self._by_key.get((topic, key), [])

    def keys(self, topic: str) -> list[str]:
        """Return the keys that a topic has."""
        return [key for each, key in self._by_key if each == topic]

    def answers(self, topic: str, request: Record) -> list[Record]:
        """Return the events of a topic that an event led to. Its key tells which of those that have its id it is."""
        return self._by_cause.get((topic, request.id, key_of(request)), [])

    def history_by_order(self) -> dict[str, list[HistoryRow]]:
        """Return the history rows by order."""
        return _grouped((row.order, row) for row in self.history)


def key_of(record: Record) -> str:
    """Return the key, which for a UUID is its value and not its spelling."""
    return record.key.lower() if _UUID.fullmatch(record.key) else record.key


def cause_of(record: Record) -> str:
    """Return the id of the event that led to this one, '' when it tells none."""
    return record.headers.get("ce_causationid", "")


def _is_event(record: Record) -> bool:
    """Say whether a record is a whole event of a type that somebody wants, on the topic that it belongs to."""
    kind = record.headers.get("ce_type", "")
    return kind in WANTED and "ce_id" in record.headers and kind.split(".")[0] == record.topic.split(".")[0]


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for name, value in pairs:
        found[name].append(value)
    return found


def distinct(names: Iterable[str]) -> list[str]:
    """Return each name once, where it stands first."""
    return list(dict.fromkeys(names))


def is_in_order(found: Sequence[str], wanted: Sequence[str]) -> bool:
    """Say whether the names of `found` that are in `wanted` stand in the same order there."""
    places = {name: place for place, name in enumerate(wanted)}
    order = [places[name] for name in found if name in places]
    return order == sorted(order)
