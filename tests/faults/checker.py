"""The checker of a soak, apart from the application: it reads the four databases and the topics, nothing else.

It asks, after everything has come to rest: is anything lost, done twice, done out of order, or not ended?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from config.topology import SERVICES, Service
from tests.faults.events import APPLIED, REQUESTS, WANTED, Applied, Events, cause_of, distinct, is_in_order, key_of
from tests.faults.findings import DOUBLED, LOST, OUT_OF_ORDER, UNFINISHED, WRONG, Expected, Finding
from tests.faults.records import Corrupted, identity_of
from tests.journeys import consistency
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient

#: What a participant answers to, by the topic of its answers: everybody asks product, who has a coupon asks coupon.
PARTICIPANTS = {"product.events": "product", "coupon.events": "coupon"}

_ORDERS = "SELECT id::text, coupon_id::text, status FROM order_app_order"
_PENDING = """
    SELECT o.id::text, o.status || ' ' || s.status FROM order_app_order o JOIN order_app_saga s ON s.order_id = o.id
    WHERE o.status = 'PENDING' OR s.status NOT IN ('COMPLETED', 'COMPENSATED')
"""
_CLAIMS = "SELECT id::text, status FROM coupon_app_claim"
_USERNAMES = "SELECT username FROM user_app_user"
_LINES = """
    SELECT l.order_id::text, l.product_id::text, sum(l.quantity)::int FROM order_app_orderline l
    JOIN order_app_order o ON o.id = l.order_id WHERE o.status = 'CONFIRMED' GROUP BY l.order_id, l.product_id
"""
_HELD = """
    SELECT order_id::text, product_id::text, quantity FROM product_app_stockhold WHERE restored_at IS NULL
"""
_QUEUED = "SELECT event_id, handler, state, error FROM messaging_inbox WHERE raw IS NOT NULL"
_PARKED = "SELECT topic, key FROM messaging_parked_key"
#: No kill, no freeze and no outage may use up the attempts of an event (P8).
_EXHAUSTED = "SELECT id::text FROM order_app_order WHERE reason = 'retries_exhausted'"
#: A foreign member's partitions are named until the service sees that it has left.
_STOPPED = consistency.STOPPED
_PAUSED = "SELECT name, reason FROM messaging_pause"
_COPIES = {
    "order": "SELECT product_id::text, version, name, price, currency, active FROM order_app_productcopy",
    "product": "SELECT id::text, version, name, price, currency, active FROM product_app_product",
}
_USERS = "SELECT id::text, version, is_active FROM user_app_user"
_USER_COPIES = {
    "order": "SELECT user_id::text, version, active FROM order_app_usercopy",
    "coupon": "SELECT user_id::text, version, active FROM coupon_app_usercopy",
}


class SoakChecker:
    """Lists every broken promise."""

    def __init__(self, databases: Databases, log: ForeignClient, expected: Expected) -> None:
        self._databases = databases
        self._log = log
        self._expected = expected
        self._state = consistency.Checker(databases, log)
        self._state.injected.dead_letters = expected.dead

    def unrest(self) -> list[str]:
        """Return what still goes on."""
        waiting = [
            f"{service} has parked {topic} {key}"
            for service in SERVICES
            for topic, key in self._databases.ask(service, _PARKED)
            if (topic, key) not in self._expected.parked
        ]
        stopped = [f"{name}: stopped {row}" for name in SERVICES for row in self._databases.ask(name, _STOPPED)]
        return self._state.unrest() + waiting + stopped

    def on_the_way(self) -> list[str]:
        """Return what still waits in an outbox or in the log; what has become of it does not matter."""
        return self._state.on_the_way()

    def findings(self) -> list[Finding]:
        """Return every broken promise; meant for a system at rest, true of any other as well."""
        events = Events(self._databases, self._log, self._expected.dead)
        checks = (self._accepted(), self._unfinished(), self._lost(events), self._doubled(events))
        more = (self._out_of_order(events), self._reception_out_of_order(events), self._books(), self._dead())
        return [finding for check in (*checks, *more) for finding in check]

    # Everything that was promised to a customer exists, and nothing else does.

    def _accepted(self) -> Iterator[Finding]:
        statuses = {order: status for order, _, status in self._databases.ask("order", _ORDERS)}
        for order in set(self._expected.orders) - set(statuses):
            yield Finding(LOST, order, f"order {order} was accepted and does not exist")
        if self._expected.everything:
            for order in set(statuses) - set(self._expected.orders):
                yield Finding(DOUBLED, order, f"order {order} exists, and no customer got an answer for it")
        for order in self._expected.canceled:
            if statuses.get(order) != "CANCELED":
                yield Finding(LOST, order, f"order {order} is {statuses.get(order)}, its cancellation was accepted")
        users = {name for (name,) in self._databases.ask("user", _USERNAMES)}
        for name in set(self._expected.usernames) - users:
            yield Finding(LOST, name, f"user {name} was registered and does not exist")
        claims = {claim for claim, _ in self._databases.ask("coupon", _CLAIMS)}
        for claim in set(self._expected.claims) - claims:
            yield Finding(LOST, claim, f"claim {claim} was accepted and does not exist")

    # Everything has ended.

    def _unfinished(self) -> Iterator[Finding]:
        for order, state in self._databases.ask("order", _PENDING):
            yield Finding(UNFINISHED, order, f"order {order} is {state}")
        for claim, status in self._databases.ask("coupon", _CLAIMS):
            if status == "PENDING":
                yield Finding(UNFINISHED, claim, f"claim {claim} is not decided")
        for sentence in self.unrest():
            yield Finding(UNFINISHED, "", sentence)
        for service in SERVICES:
            for name, reason in self._databases.ask(service, _PAUSED):
                yield Finding(UNFINISHED, name, f"{service}: {name} is paused: {reason}")
            for event_id, handler, state, error in self._databases.ask(service, _QUEUED):
                if event_id not in self._expected.dead:
                    yield Finding(UNFINISHED, event_id, f"{service}: {handler} has {event_id} {state}: {error}")

    # Every event was published, and every handler that wants it has applied it.

    def _lost(self, events: Events) -> Iterator[Finding]:
        applied = {(row.service, row.handler, row.identity) for row in events.inbox if row.state in APPLIED}
        for record in events.log:
            for service, handler in WANTED[record.headers["ce_type"]]:
                if (service, handler, identity_of(record)) not in applied:
                    yield Finding(LOST, record.key, f"{handler} has not applied {record.type} {record.id}")
        for row in events.history:
            if row.event_id not in events.by_id:
                yield Finding(LOST, row.order, f"{row.event} {row.event_id} of order {row.order} is not in the log")
        yield from self._unanswered(events)

    def _unanswered(self, events: Events) -> Iterator[Finding]:
        coupons = {order: coupon for order, coupon, _ in self._databases.ask("order", _ORDERS)}
        for record in events.log:
            if record.headers["ce_type"] not in REQUESTS:
                continue
            for topic in PARTICIPANTS:
                wanted = 1 if topic == "product.events" or coupons.get(key_of(record)) else 0
                found = len(events.answers(topic, record))
                if found < wanted:
                    yield Finding(LOST, record.key, f"{topic} has no answer to {record.type} {record.id}")

    # No effect happened twice.

    def _doubled(self, events: Events) -> Iterator[Finding]:
        for topic in PARTICIPANTS:
            causes = Counter((cause_of(record), record.key) for record in events.log if record.topic == topic)
            for (cause, _), times in causes.items():
                request = events.by_id.get(cause)
                if times > 1 or request is None or request.headers["ce_type"] not in REQUESTS:
                    subject = request.key if request else cause
                    yield Finding(DOUBLED, subject, f"{topic} has {times} answers to {cause}")
        steps = Counter(
            (row.order, row.event_id, row.step) for row in events.history if _is_answer(events, row.event_id)
        )
        for (order, event_id, step), times in steps.items():
            if times > 1 and step:
                yield Finding(DOUBLED, order, f"the saga of {order} has taken {event_id} {times} times for {step}")
        kinds = Counter((record.key, record.type) for record in events.log if record.type == "OrderConfirmed")
        for (order, kind), times in kinds.items():
            if times > 1:
                yield Finding(DOUBLED, order, f"{kind} of {order} was published {times} times")

    # The events of a key took effect in the order of their publication, and were published in that of their commits.

    def _out_of_order(self, events: Events) -> Iterator[Finding]:
        for order, rows in events.history_by_order().items():
            done = distinct(row.event_id for row in rows)
            for topic in ("order.events", *PARTICIPANTS):
                logged = [record.id for record in events.of(topic, order)]
                if not is_in_order(done, logged):
                    yield Finding(OUT_OF_ORDER, order, f"{topic} has {logged} and the saga {done}")
        for topic in PARTICIPANTS:
            for order in events.keys(topic):
                answered = distinct(cause_of(record) for record in events.of(topic, order))
                asked = distinct(record.id for record in events.of("order.events", order))
                if not is_in_order(answered, asked):
                    yield Finding(OUT_OF_ORDER, order, f"{topic} answers {answered}, but order.events has {asked}")

    def _reception_out_of_order(self, events: Events) -> Iterator[Finding]:
        """Each key's inbox rows of a partition: those of one batch share a time, a later batch has later offsets.

        The offsets compared are those at which the events stand first in the log.
        """
        by_key: dict[tuple[str, str, str, int, str], list[Applied]] = {}
        for row in events.inbox:
            by_key.setdefault((row.service, row.handler, row.topic, row.partition, row.key), []).append(row)
        for (_, handler, topic, _, key), rows in by_key.items():
            last = -1
            for _, together in groupby(rows, key=lambda row: row.received_at):
                known = [found for row in together if (found := events.by_identity.get(row.identity))]
                offsets = sorted(record.offset for record in known)
                if offsets and offsets[0] < last:
                    yield Finding(OUT_OF_ORDER, key, f"{handler} has taken {topic} {key} at {offsets[0]} after {last}")
                last = max([last, *offsets])

    # Stock, coupons, campaigns, purchases: to the unit.

    def _books(self) -> Iterator[Finding]:
        for sentence in self._state.violations():
            yield Finding(WRONG, "", sentence)
        for (order,) in self._databases.ask("order", _EXHAUSTED):
            yield Finding(WRONG, order, f"order {order} was canceled because attempts were used up")
        wanted, held = set(self._databases.ask("order", _LINES)), set(self._databases.ask("product", _HELD))
        for order, product, pieces in wanted ^ held:
            where = "is ordered and not held" if (order, product, pieces) in wanted else "is held and not ordered"
            yield Finding(WRONG, order, f"order {order}: {pieces} of {product} {where}")
        copies, products = (set(self._databases.ask(name, query)) for name, query in _COPIES.items())
        for row in copies ^ products:
            yield Finding(WRONG, row[0], f"the order service's copy of product {row[0]} is another: {row}")
        yield from self._copies_of_users()

    def _copies_of_users(self) -> Iterator[Finding]:
        """Who was announced is known to both services, as the user service has them."""
        users = set(self._databases.ask("user", _USERS))
        copies = {name: set(self._databases.ask(name, query)) for name, query in _USER_COPIES.items()}
        for name, rows in copies.items():
            for row in rows - users:
                yield Finding(WRONG, row[0], f"the {name} service's copy of user {row[0]} is another: {row}")
        for row in copies["order"] ^ copies["coupon"]:
            yield Finding(WRONG, row[0], f"order and coupon do not have the same copy of user {row[0]}")

    # Dead letters are those that the test wrote, and all of them.

    def _dead(self) -> Iterator[Finding]:
        query = "SELECT event_id FROM messaging_dead_letter"
        for service in SERVICES.values():
            found = {event_id for (event_id,) in self._databases.ask(service.name, query)}
            for each in self._expected.corrupted:
                if each.place not in found and is_business_of(service, each):
                    sentence = f"{service.name} can't read {each.place}, and it is no dead letter there"
                    yield Finding(WRONG, each.place, sentence)


def is_business_of(service: Service, record: Corrupted) -> bool:
    """Say whether a service has to tell of an unreadable record: it wants the type, or nobody knows who would."""
    if not record.type:
        return any(record.topic in group.topics for group in service.groups)
    known = record.type.rpartition(".")[0] + ".v1"
    return any(name == service.name for name, _ in WANTED[known])


def _is_answer(events: Events, event_id: str) -> bool:
    record = events.by_id.get(event_id)
    return record is not None and record.topic in PARTICIPANTS
