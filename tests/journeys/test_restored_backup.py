"""A database that lost commits shows itself: its consumer stops before its next record and says why, and contradicts
nothing that was published. With the right data back in place everything goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.journeys.backups import back_up, restored
from tests.journeys.crowd import Crowd
from tests.journeys.databases import Databases, Rows
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.processes import stopped
from tests.journeys.rolling import said
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.waiting import eventually

#: What the backup lacks: one partition of order.events alone shows it. And what comes later: each of them has some.
LOST, LATER = 1, 40
DECIDED = "SELECT count(*) FROM product_app_stockdecision WHERE order_id = ANY(%s::uuid[])"
REASONS = "SELECT partition, stopped_reason FROM messaging_consumer_position WHERE stopped_reason IS NOT NULL"
POSITIONS = "SELECT partition, next_offset FROM messaging_consumer_position ORDER BY partition"
PARTITIONS = 4
#: A worker that starts on a busy machine takes its time.
SECONDS = 180.0


@contextmanager
def nothing() -> Iterator[None]:
    """The worker goes on running while its database is exchanged."""
    yield


@contextmanager
def worker_stopped() -> Iterator[None]:
    """The worker starts again when the exchanged database is there."""
    with stopped("product-worker"):
        yield


def orders_in_peace(customer: Person, product: str, databases: Databases, number: int = LOST) -> list[str]:
    """Place orders that all are confirmed."""
    orders = [customer.place({product: 1}) for _ in range(number)]
    eventually(lambda: databases.value("product", DECIDED, [orders]) == number, "stock for all of them")
    return orders


@pytest.mark.parametrize("meanwhile", [nothing, worker_stopped])
def test_a_backup_put_in_place_of_the_database_is_noticed_before_the_first_record(
    meanwhile: Callable, shop: Shop, shelves: Shelves, databases: Databases, log: ForeignClient
):
    product, customer = shelves.product(10_000), shop.visitor()
    with Crowd(lambda: customer.try_to_place({product: 1}), 0.1) as crowd:
        crowd.wait_for(10)
        backup = back_up("product")
        crowd.wait_for(5)
    lost = orders_in_peace(customer, product, databases)
    for order in lost:
        customer.wait_ended(order, "CONFIRMED")
    start = len(said("product-worker"))

    with ExitStack() as exchanged:
        with meanwhile():
            exchanged.enter_context(restored("product", backup, databases))
        positions = databases.ask("product", POSITIONS)
        new = [customer.place({product: 1}) for _ in range(LATER)]
        reasons = wait_all_stopped(databases)
        wait_looked_at_again(start)

        assert all("the database lost commits (a backup was restored" in reason for reason in reasons)
        assert databases.ask("product", POSITIONS) == positions
        assert databases.value("product", DECIDED, [lost + new]) == 0
        assert answers(log, new) == []
        assert {customer.order(order)["status"] for order in new} == {"PENDING"}

    for order in new:
        customer.wait_ended(order, "CONFIRMED")
    assert {record for record in answers(log, lost + new)} == {"StockReduced"}
    assert shelves.stock(product) == 10_000 - len(crowd.orders) - len(lost) - len(new)


def wait_all_stopped(databases: Databases) -> list[str]:
    """Wait until every partition has a reason for the operators, and return the reasons."""
    rows: Rows = eventually(
        lambda: len(rows := databases.ask("product", REASONS)) == PARTITIONS and rows,
        "every partition to be stopped",
        seconds=SECONDS,
        state=lambda: databases.ask("product", REASONS),
    )
    return [reason for _, reason in rows]


def wait_looked_at_again(start: int) -> None:
    """Wait until the worker's log, from `start` on, has two alarms for each partition."""
    eventually(
        lambda: said("product-worker")[start:].count(" is stopped: ") >= 2 * PARTITIONS,
        "every partition's second look",
        seconds=SECONDS,
    )


def answers(log: ForeignClient, orders: list[str]) -> list[str]:
    """Return the types of what the product service published about these orders."""
    return [record.type for record in log.read("product.events") if record.key in orders]


@contextmanager
def positions_lost(databases: Databases) -> Iterator[None]:
    """Restart the worker without the rows of its positions, which come back after the with block."""
    with stopped("product-worker"):
        positions = databases.ask("product", POSITIONS)
        databases.change("product", "DELETE FROM messaging_consumer_position")
    try:
        yield
    finally:
        for partition, offset in positions:
            move = "UPDATE messaging_consumer_position SET next_offset = %s WHERE partition = %s"
            databases.change("product", move, [offset, partition])


def test_a_group_that_has_offsets_and_no_positions_stops_before_the_first_record(
    shop: Shop, shelves: Shelves, databases: Databases, log: ForeignClient
):
    product, customer = shelves.product(10_000), shop.visitor()
    orders_in_peace(customer, product, databases, LATER)
    start = len(said("product-worker"))
    with positions_lost(databases):
        new = [customer.place({product: 1}) for _ in range(LATER)]

        assert all("has no position" in reason for reason in wait_all_stopped(databases))
        wait_looked_at_again(start)
        assert databases.value("product", DECIDED, [new]) == 0
        assert answers(log, new) == []

    for order in new:
        customer.wait_ended(order, "CONFIRMED")
