"""A thousand records of random bytes and a thousand well-formed ones with any values, in every topic.

None of them stops anybody: each becomes a dead letter or is refused, those who order meanwhile are served, and an
operator lets all of it go.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest

from config.topology import SERVICES
from messaging.event import all_specs
from stack import control
from stack.progress import tell
from tests.faults import flood
from tests.faults.checker import SoakChecker
from tests.faults.events import WANTED
from tests.faults.flood import Written
from tests.faults.letters import let_everything_go
from tests.journeys.crowd import Crowd
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.shop import Shelves, Shop
from tests.journeys.waiting import eventually

EACH, SEED = 1000, 4
#: How many orders tell how long one takes while nothing else happens, and the seconds between two.
QUIET, INTERVAL_SECONDS = 40, 0.25
#: How long the flood lasts: about as many records in a second as orders make events when the machine is busy.
FLOOD_SECONDS = 50.0
STOCK = 100_000
PATIENT_SECONDS = 600.0
REASONS = {"undecodable", "schema_violation", "unknown_version", "tombstone", "unknown_order", "unknown_claim"}
WORKERS = [f"{group.name}-worker" for service in SERVICES.values() for group in service.groups]
#: Who consumes a topic.
READERS: Mapping[str, list[str]] = {
    topic: [service.name for service in SERVICES.values() for group in service.groups if topic in group.topics]
    for topic in {spec.topic for spec in all_specs()}
}
HOMES = {spec.type: spec.topic for spec in all_specs()}

#: What waits does so behind a dead letter of its key: nothing else was on its way any more.
STATES = ("done", "dead", "waiting")

#: What other tests have left is resolved.
LETTERS = "SELECT event_id, handler, reason FROM messaging_dead_letter WHERE resolved_at IS NULL"
INBOX = "SELECT event_id, handler, state FROM messaging_inbox"
PAUSES = "SELECT name, reason FROM messaging_pause"
LASTED = """
    SELECT extract(epoch FROM finished_at - created_at)::float FROM order_app_saga
    WHERE order_id = ANY(%s::uuid[]) AND status = 'COMPLETED'
"""


@pytest.fixture(autouse=True)
def everything_goes_afterwards(databases: Databases, checker: SoakChecker) -> Iterator[None]:
    """The tests that follow want rest, whatever has come of this one."""
    yield
    let_everything_go(databases, checker)


def test_a_flood_of_records_that_anybody_could_write_stops_nobody(
    shop: Shop, shelves: Shelves, databases: Databases, log: ForeignClient, checker: SoakChecker
):
    records = flood.drawn(EACH, SEED)
    product, visitor = shelves.product(STOCK), shop.visitor()
    pids = {name: control.pid(name) for name in WORKERS}

    with Crowd(lambda: visitor.try_to_place({product: 1}), INTERVAL_SECONDS) as crowd:
        crowd.wait_for(QUIET)
        quiet = len(crowd.orders)
        written = list(flood.write(log, records, FLOOD_SECONDS))
        eventually(lambda: not checker.on_the_way(), "the flood to end", seconds=PATIENT_SECONDS)
    eventually(lambda: len(lasted(databases, crowd.orders)) == len(crowd.orders), "every order to be confirmed")

    tell(f"{len(written)} records; an order took {slowness(lasted(databases, crowd.orders[:quiet]))} before them")
    tell(f"an order took {slowness(lasted(databases, crowd.orders[quiet:]))} among them")
    assert crowd.refused == []
    assert {name: control.pid(name) for name in WORKERS} == pids
    for service in SERVICES:
        assert databases.ask(service, PAUSES) == []
        assert unexplained(databases, service, written) == []
    let_everything_go(databases, checker)
    eventually(lambda: not checker.unrest(), "rest", seconds=PATIENT_SECONDS, state=checker.unrest)
    assert shelves.stock(product) == STOCK - len(crowd.orders)


def lasted(databases: Databases, orders: Sequence[str]) -> list[float]:
    """Return how long the sagas of those orders that are confirmed took, in seconds."""
    return [seconds for (seconds,) in databases.ask("order", LASTED, [list(orders)])]


def slowness(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms (median), {max(seconds) * 1000:.0f} ms (slowest)"


def unexplained(databases: Databases, service: str, written: Iterable[Written]) -> list[str]:
    """Return what a service has neither applied nor refused, of what is its business, and what it failed at."""
    letters = databases.ask(service, LETTERS)
    inbox = databases.ask(service, INBOX)
    known = {(event_id, handler) for event_id, handler, _ in letters}
    known |= {(event_id, handler) for event_id, handler, state in inbox if state in STATES}
    failed = [f"{row}: a handler failed at it" for row in letters if row[2] not in REASONS]
    failed += [f"{row}: its attempts are used up" for row in inbox if row[2] == "exhausted"]
    return failed + [
        f"{each} at {handler}: neither applied nor refused"
        for each in written
        for handler in handlers_of(each, service)
        if not known & {(each.id, handler), (each.place, handler), (each.place, "-")}
    ]


def handlers_of(record: Written, service: str) -> list[str]:
    """Return which handlers of a service have to say something about the record; `-`: somebody there has to."""
    if service not in READERS.get(record.topic, ()) or record.is_plain_tombstone:
        return []
    if record.type is None:
        return ["-"]
    if HOMES.get(record.type) != record.topic:
        return []
    return [handler for name, handler in WANTED.get(record.type, ()) if name == service]
