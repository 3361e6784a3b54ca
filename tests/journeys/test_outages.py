"""A part of the system is away for a while: the API goes on accepting, and everything ends when the part is back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from stack import control
from tests.journeys.crowd import Crowd
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient, Record
from tests.journeys.processes import frozen, stopped
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.waiting import eventually

#: One order each 0.3 s. While Kafka is frozen for 18 s: longer than the relay trusts a silent producer (15 s).
INTERVAL_SECONDS = 0.3
ORDERS_WHILE_FROZEN, ORDERS_WHILE_STOPPED = 60, 20
SLOWEST_SECONDS = 5.0


def test_orders_placed_while_products_worker_is_stopped_are_confirmed_afterwards(shop: Shop, shelves: Shelves):
    customer, product = shop.visitor(), shelves.product(100)

    with stopped("product-worker"):
        orders = [customer.place({product: 1}) for _ in range(10)]
        canceled = customer.place({product: 1})
        customer.cancel(canceled)
        assert {customer.order(order)["status"] for order in orders} == {"PENDING"}
        assert customer.saga(canceled)["status"] == "COMPENSATING"
        assert customer.saga(orders[0])["waiting_for"]

    for order in orders:
        customer.wait_ended(order, "CONFIRMED")
    customer.wait_ended(canceled, "CANCELED")
    assert shelves.stock(product) == 90


@contextmanager
def kafka_stopped(log: ForeignClient) -> Iterator[None]:
    """Stop the broker for the with block, and wait until it takes requests again."""
    try:
        with stopped("kafka"):
            yield
    finally:
        eventually(log.answers, "Kafka to answer")


@contextmanager
def kafka_frozen(log: ForeignClient) -> Iterator[None]:
    """Freeze the broker for the with block."""
    with frozen("kafka"):
        yield


@pytest.mark.parametrize(
    ("outage", "orders"), [(kafka_frozen, ORDERS_WHILE_FROZEN), (kafka_stopped, ORDERS_WHILE_STOPPED)]
)
def test_orders_are_accepted_without_kafka_and_end_when_it_is_back(
    outage: Callable[[ForeignClient], AbstractContextManager[None]],
    orders: int,
    shop: Shop,
    shelves: Shelves,
    log: ForeignClient,
    databases: Databases,
):
    product, customer = shelves.product(10_000), shop.visitor()
    with Crowd(lambda: customer.try_to_place({product: 1}), INTERVAL_SECONDS) as crowd:
        crowd.wait_for(3)
        with outage(log):
            canceled = customer.place({product: 1})
            customer.cancel(canceled)
            crowd.wait_for(orders)
            assert databases.value("order", "SELECT count(*) FROM messaging_outbox") >= orders
        crowd.wait_for(3)

    assert crowd.refused == []
    assert crowd.slowest < SLOWEST_SECONDS
    for order in crowd.orders:
        eventually(lambda: customer.order(order)["status"] == "CONFIRMED", f"order {order}")  # noqa: B023
    customer.wait_ended(canceled, "CANCELED")
    assert shelves.stock(product) == 10_000 - len(crowd.orders)
    assert first_occurrences(log.read("order.events", canceled)) == ["OrderCreated", "OrderCanceled"]
    assert_each_begins_with_its_creation(log.read("order.events"), {*crowd.orders, canceled})


def first_occurrences(records: list[Record]) -> list[str]:
    """Return the types of a key's events in the order of the log; a repeated one counts where it stands first."""
    return list({record.id: record.type for record in records}.values())


def assert_each_begins_with_its_creation(records: list[Record], orders: set[str]) -> None:
    """Check that the first event of each order, never acknowledged in the outage, stands first in the log."""
    first: dict[str, str] = {}
    for record in records:
        first.setdefault(record.key, record.type)
    assert {first[order] for order in orders} == {"OrderCreated"}


@pytest.mark.parametrize("service", ["order", "product", "coupon"])
def test_orders_survive_a_restart_of_a_database(service: str, shop: Shop, shelves: Shelves, databases: Databases):
    product, customer = shelves.product(1000), shop.visitor()
    with Crowd(lambda: customer.try_to_place({product: 1}), 0.1) as crowd:
        crowd.wait_for(3)
        control.restart(f"postgres-{service}")
        eventually(lambda: databases.reconnect(service), f"the database of {service}")
        crowd.wait_for(3)

    for order in crowd.orders:
        customer.wait_ended(order, "CONFIRMED")
    assert not crowd.refused or service == "order"
    assert shelves.stock(product) == 1000 - accepted(databases, customer)


def accepted(databases: Databases, customer: Person) -> int:
    """Return how many orders a customer has: one may have been committed and its 202 lost with the database."""
    return int(databases.value("order", "SELECT count(*) FROM order_app_order WHERE user_id = %s", [customer.id]))
