"""The checker of a session's end, apart from the application: it reads the four databases and the log, nothing else.

Each query returns what is wrong, so an empty answer is a kept promise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from config.topology import SERVICES
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.waiting import eventually

REST_SECONDS = 90.0
CONSUMED = {topic for service in SERVICES.values() for group in service.groups for topic in group.topics}

UNFINISHED = """
    SELECT count(*) FROM order_app_order o JOIN order_app_saga s ON s.order_id = o.id
    WHERE o.status = 'PENDING' OR s.status NOT IN ('COMPLETED', 'COMPENSATED')
"""
ORDERS_WITHOUT_SAGA = """
    SELECT o.id::text FROM order_app_order o LEFT JOIN order_app_saga s ON s.order_id = o.id WHERE s.order_id IS NULL
"""
#: Completed, with every step done, or compensated, with every step undone: never both, never neither.
HALF_DONE = """
    SELECT o.id::text, o.status, s.status, t.name, t.status FROM order_app_order o
    JOIN order_app_saga s ON s.order_id = o.id JOIN order_app_sagastep t ON t.saga_id = o.id
    WHERE NOT ((o.status = 'CONFIRMED' AND s.status = 'COMPLETED' AND t.status IN ('DONE', 'SKIPPED'))
            OR (o.status = 'CANCELED' AND s.status = 'COMPENSATED' AND t.status IN ('UNDONE', 'SKIPPED')))
"""
CONFIRMED = "SELECT id::text, coupon_id::text FROM order_app_order WHERE status = 'CONFIRMED'"
FLAGGED = "SELECT DISTINCT order_id::text FROM order_app_sagahistory WHERE flagged"
STOCK = """
    SELECT p.id::text, p.quantity, coalesce(h.held, 0), coalesce(a.received, 0) FROM product_app_product p
    LEFT JOIN (SELECT product_id, sum(quantity) AS held FROM product_app_stockhold
               WHERE restored_at IS NULL GROUP BY product_id) h ON h.product_id = p.id
    LEFT JOIN (SELECT product_id, sum(delta) AS received FROM product_app_stockadjustment
               GROUP BY product_id) a ON a.product_id = p.id
    WHERE p.quantity + coalesce(h.held, 0) <> coalesce(a.received, 0) OR p.quantity < 0
"""
STOCK_HELD_BY_DECISION = "SELECT order_id::text FROM product_app_stockdecision WHERE decision = 'HELD'"
STOCK_HELD_BY_ROWS = "SELECT DISTINCT order_id::text FROM product_app_stockhold WHERE restored_at IS NULL"
COUPON_HELD_BY_DECISION = (
    "SELECT coupon_id::text, order_id::text FROM coupon_app_coupondecision WHERE decision = 'HELD'"
)
COUPON_USED = "SELECT id::text, order_id::text FROM coupon_app_coupon WHERE status = 'USED'"
CAMPAIGNS = """
    SELECT c.id::text, c.quantity, c.granted, count(k.id) FROM coupon_app_campaign c
    LEFT JOIN coupon_app_coupon k ON k.campaign_id = c.id GROUP BY c.id
    HAVING c.granted > c.quantity OR c.granted <> count(k.id)
"""
UNDECIDED_CLAIMS = "SELECT count(*) FROM coupon_app_claim WHERE status = 'PENDING'"
COUNTED = "SELECT order_id::text FROM user_app_purchase WHERE state = 'COUNTED'"
OUTBOX = "SELECT count(*) FROM messaging_outbox"
DEAD_LETTERS = "SELECT event_id, reason FROM messaging_dead_letter"
NOT_DONE = "SELECT event_id, handler, state, error FROM messaging_inbox WHERE state <> 'done'"
#: Parked keys with what stands in their queues: none is left but behind a dead letter that a journey injected.
PARKED = """
    SELECT topic, key, array(SELECT event_id || ' ' || state FROM messaging_inbox AS row
                             WHERE row.topic = parked.topic AND row.key = parked.key AND raw IS NOT NULL
                             ORDER BY "offset")
    FROM messaging_parked_key AS parked
"""
STOPPED = """
    SELECT consumer_group, topic, partition, stopped_reason FROM messaging_consumer_position
    WHERE stopped_reason IS NOT NULL
"""
POSITIONS = "SELECT topic, partition, next_offset FROM messaging_consumer_position"


@dataclass
class Injected:
    """What a journey did wrong on purpose: ids of events that have to become dead letters."""

    dead_letters: set[str] = field(default_factory=set)


class Checker:
    """Waits for rest, then lists every broken rule as a sentence."""

    def __init__(self, databases: Databases, log: ForeignClient) -> None:
        self.databases = databases
        self.log = log
        self.injected = Injected()

    def wait_for_rest(self, seconds: float = REST_SECONDS) -> None:
        """Wait until every order has ended, every event has left its outbox, and every consumer is at the log's end."""
        eventually(lambda: not self.unrest(), "rest", seconds=seconds, state=self.unrest)

    def unrest(self) -> list[str]:
        """Return what still goes on."""
        return self.on_the_way() + self._undecided() + self._outboxes()

    def on_the_way(self) -> list[str]:
        """Return what waits in an outbox or in the log."""
        # Outboxes before and after the positions: what is consumed in between fills an outbox first.
        looks = (self._outboxes, self._behind, self._queued, self._outboxes)
        return [what for look in looks for what in look()]

    def _outboxes(self) -> list[str]:
        return [f"{name} has {rows} events in its outbox" for name in SERVICES if (rows := self._count(name, OUTBOX))]

    def _behind(self) -> list[str]:
        ends = self.log.ends(
            *{topic for service in SERVICES.values() for group in service.groups for topic in group.topics}
        )
        return [
            f"{name} is at {offset} of {ends[topic, partition]} in {topic}/{partition}"
            for name in SERVICES
            for topic, partition, offset in self.databases.ask(name, POSITIONS)
            if offset < ends[topic, partition]
        ]

    def _queued(self) -> list[str]:
        """What waits for the timer; a queue whose first event is dead waits for an operator, and is at rest."""
        queues = [(name, row) for name in SERVICES for row in self.databases.ask(name, PARKED)]
        return [f"{name} tries again: {row}" for name, row in queues if not row[2] or row[2][0].endswith(" waiting")]

    def _undecided(self) -> list[str]:
        orders, claims = self._count("order", UNFINISHED), self._count("coupon", UNDECIDED_CLAIMS)
        return [f"{orders} orders and {claims} claims have not ended"] if orders or claims else []

    def _count(self, service: str, query: str) -> int:
        return int(self.databases.value(service, query))

    def violations(self) -> list[str]:
        """Return every broken rule."""
        checks = (self._sagas, self._stock, self._coupons, self._campaigns, self._purchases, self._messaging)
        return [sentence for check in checks for sentence in check()]

    def _sagas(self) -> list[str]:
        lost = [f"order {order} has no saga" for (order,) in self.databases.ask("order", ORDERS_WITHOUT_SAGA)]
        half = [f"half done: {row}" for row in self.databases.ask("order", HALF_DONE)]
        return lost + half + [f"order {order} is flagged" for (order,) in self.databases.ask("order", FLAGGED)]

    def _confirmed(self) -> dict[str, str | None]:
        return dict(self.databases.ask("order", CONFIRMED))

    def _stock(self) -> list[str]:
        wrong = [
            f"product {product}: {quantity} in stock + {held} held is not {received} received"
            for product, quantity, held, received in self.databases.ask("product", STOCK)
        ]
        confirmed = set(self._confirmed())
        for what, query in (("HELD", STOCK_HELD_BY_DECISION), ("hold rows", STOCK_HELD_BY_ROWS)):
            held = [order for (order,) in self.databases.ask("product", query)]
            wrong += _differences(f"product's {what}", confirmed, held)
        return wrong

    def _coupons(self) -> list[str]:
        wanted = {(coupon, order) for order, coupon in self._confirmed().items() if coupon}
        used = self.databases.ask("coupon", COUPON_USED)
        decided = self.databases.ask("coupon", COUPON_HELD_BY_DECISION)
        twice = [coupon for coupon, times in Counter(coupon for coupon, _ in decided).items() if times > 1]
        return [
            *(f"coupon {coupon} is used by several live orders" for coupon in twice),
            *_differences("coupon's used coupons", wanted, used),
            *_differences("coupon's HELD", wanted, decided),
        ]

    def _campaigns(self) -> list[str]:
        return [
            f"campaign {campaign}: {coupons} coupons, {granted} counted, {quantity} allowed"
            for campaign, quantity, granted, coupons in self.databases.ask("coupon", CAMPAIGNS)
        ]

    def _purchases(self) -> list[str]:
        counted = [order for (order,) in self.databases.ask("user", COUNTED)]
        return _differences("user's purchases", set(self._confirmed()), counted)

    def _messaging(self) -> list[str]:
        found = []
        for name in SERVICES:
            letters = self.databases.ask(name, DEAD_LETTERS)
            found += [f"{name}: dead letter {row}" for row in letters if row[0] not in self.injected.dead_letters]
            states = self.databases.ask(name, NOT_DONE)
            found += [f"{name}: inbox row {row}" for row in states if row[0] not in self.injected.dead_letters]
            found += [f"{name}: stopped {row}" for row in self.databases.ask(name, STOPPED)]
            found += [f"{name}: parked {row}" for row in self._parked(name)]
        return found

    def _parked(self, service: str) -> list[tuple[Any, ...]]:
        """Return the parked keys but those whose first event is a dead letter that was injected."""
        heads = {f"{each} dead" for each in self.injected.dead_letters}
        return [row for row in self.databases.ask(service, PARKED) if not heads.intersection(row[2][:1])]


def _differences(what: str, wanted: set[Any], found: list[Any]) -> list[str]:
    missing = [f"{what}: {each} of a confirmed order is missing" for each in wanted - set(found)]
    surplus = [f"{what}: {each} belongs to no confirmed order" for each in set(found) - wanted]
    return missing + surplus
