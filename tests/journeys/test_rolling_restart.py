"""Every process is replaced while customers order: nothing is lost, nobody is refused, and no key stands still."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from config.topology import SERVICES
from stack import control
from tests.journeys.crowd import Crowd
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient, Record
from tests.journeys.rolling import GROUPS, drain_web, restart_web, restart_worker, surge_web
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.test_killed_workers import row_locked, waits_for_a_row
from tests.journeys.waiting import eventually

#: Longest time that an order may take beyond what it takes while nothing is restarted.
STALL_SECONDS = 5.0
#: Orders before the first restart, as a yardstick.
QUIET = 40
TOKEN_SECONDS = 60
CONFIRMED = "SELECT count(*) FROM order_app_order WHERE id = ANY(%s::uuid[]) AND status = 'CONFIRMED'"


class Visitors(defaultdict[int, Person]):
    """Somebody else each minute: a token is not good for the whole journey."""

    def now(self) -> Person:
        return self[int(time.monotonic() // TOKEN_SECONDS)]


def test_a_rolling_restart_of_everything_loses_nothing_and_stalls_no_order(
    shop: Shop, shelves: Shelves, databases: Databases, log: ForeignClient
):
    product, campaign = shelves.product(10_000), shelves.campaign(quantity=20)
    buyers, claimers = Visitors(shop.visitor), Visitors(shop.visitor)
    claim = f"/campaigns/{campaign}/claims"

    with (
        Crowd(lambda: buyers.now().try_to_place({product: 1}), 0.1) as crowd,
        Crowd(lambda: claimers.now().request("POST", "coupon", claim, {}), 1.0) as rush,
    ):
        crowd.wait_for(QUIET)
        for group in GROUPS:
            restart_worker(group, log)
        for service in SERVICES:
            control.restart(f"{service}-beat")
            restart_web(service)
        crowd.wait_for(5)

    assert crowd.refused == rush.refused == []
    orders = crowd.orders
    eventually(lambda: databases.value("order", CONFIRMED, [orders]) == len(orders), "all orders to be confirmed")
    assert shelves.stock(product) == 10_000 - len(orders)
    assert_no_key_stood_still(log.read("order.events"), orders)


def test_a_request_in_flight_is_finished_by_the_web_process_that_has_to_go(shelves: Shelves, databases: Databases):
    product = shelves.product(10)
    adjustment = {"delta": 5, "reason": "delivered late"}
    new = surge_web("product")
    os.kill(new, signal.SIGSTOP)  # so that the old process has the request
    with ThreadPoolExecutor() as pool:
        with row_locked(databases, product):
            path = f"/products/{product}/stock-adjustments"
            answer = pool.submit(shelves.staff.request, "POST", "product", path, adjustment)
            eventually(lambda: waits_for_a_row(databases), "the request to wait for the row")
            os.kill(new, signal.SIGCONT)
            gone = pool.submit(drain_web, "product")
            time.sleep(0.5)
            assert not gone.done()
        assert answer.result().ok, answer.result().text
        gone.result()

    assert shelves.stock(product) == 15


def assert_no_key_stood_still(records: list[Record], orders: list[str]) -> None:
    """Compare, by the log alone, how long orders took during the restarts with how long they took before them."""
    begun = {record.key: record for record in records if record.type == "OrderCreated"}
    ended = {record.key: time_of(record) for record in records if record.type == "OrderConfirmed"}
    took = {order: (ended[order] - time_of(begun[order])).total_seconds() for order in orders}
    usual = statistics.median(took[order] for order in orders[:QUIET])
    worst: dict[int, float] = defaultdict(float)
    for order in orders[QUIET:]:
        partition = begun[order].partition
        worst[partition] = max(worst[partition], took[order])
    print(f"orders take {usual:.2f} s; the longest during restarts, by partition: {dict(sorted(worst.items()))}")  # noqa: T201
    assert max(worst.values()) - usual < STALL_SECONDS


def time_of(record: Record) -> datetime:
    """Return when the event occurred."""
    return datetime.fromisoformat(record.headers["ce_time"])
