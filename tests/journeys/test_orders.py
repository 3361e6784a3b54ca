"""One order through all four services: confirmed, refused for every reason, and canceled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.waiting import eventually


def steps_of(person: Person, order: str) -> dict[str, str]:
    return {step["name"]: step["status"] for step in person.saga(order)["steps"]}


def history_of(person: Person, order: str) -> list[tuple[str, str, str]]:
    """Return (event, step, new status) of every transition, in order."""
    return [(row["event"].split(".")[1], row["step"], row["to"]) for row in person.saga(order)["history"]]


def test_an_order_is_confirmed_with_its_whole_history(newcomer: Person, shelves: Shelves):
    mug, cup = shelves.product(10, "12000"), shelves.product(5, "8000")

    order = newcomer.place({mug: 2, cup: 1})

    shown = newcomer.wait_ended(order, "CONFIRMED")
    assert (shown["total"], shown["discount"], shown["reason"]) == ("32000", "0", "")
    assert (shelves.stock(mug), shelves.stock(cup)) == (8, 4)
    assert steps_of(newcomer, order) == {"stock": "DONE", "coupon": "SKIPPED"}
    assert history_of(newcomer, order) == [
        ("OrderCreated", "", "RUNNING"),
        ("StockReduced", "stock", "DONE"),
        ("OrderConfirmed", "", "COMPLETED"),
    ]


def test_an_order_with_a_coupon_is_confirmed_and_shows_in_the_purchases(
    newcomer: Person, shelves: Shelves, log: ForeignClient
):
    product, coupon = shelves.product(10, "10000"), shelves.coupon(newcomer)

    order = newcomer.place({product: 3}, coupon)

    shown = newcomer.wait_ended(order, "CONFIRMED")
    assert (shown["total"], shown["discount"], shown["coupon_id"]) == ("30000", "3000", coupon)
    assert newcomer.coupon(coupon)["status"] == "USED"
    history = history_of(newcomer, order)
    assert history[0] == ("OrderCreated", "", "RUNNING")
    assert set(history[1:3]) == {("StockReduced", "stock", "DONE"), ("CouponUsed", "coupon", "DONE")}
    assert history[3:] == [("OrderConfirmed", "", "COMPLETED")]
    assert [record.type for record in log.read("order.events", order)] == ["OrderCreated", "OrderConfirmed"]
    purchases = eventually(lambda: purchases_of(newcomer), "the purchase")
    assert (purchases["orders"], purchases["spent"]) == (1, {"KRW": "27000"})
    assert [each["order_id"] for each in purchases["results"]] == [order]


def purchases_of(person: Person) -> dict | None:
    """Return the purchase history once it has something."""
    history = person.call("GET", "user", "/users/me/purchases")
    return history if history["orders"] else None


def test_an_order_out_of_stock_is_canceled_and_takes_nothing(customer: Person, shelves: Shelves):
    plenty, scarce = shelves.product(10), shelves.product(1)

    order = customer.place({plenty: 1, scarce: 2})

    assert customer.wait_ended(order, "CANCELED")["reason"] == "out_of_stock"
    assert (shelves.stock(plenty), shelves.stock(scarce)) == (10, 1)
    assert steps_of(customer, order) == {"stock": "UNDONE", "coupon": "SKIPPED"}


def test_a_coupon_is_given_back_when_the_stock_fails(customer: Person, shelves: Shelves, databases: Databases):
    scarce, coupon = shelves.product(1), shelves.coupon(customer)

    order = customer.place({scarce: 2}, coupon)

    assert customer.wait_ended(order, "CANCELED")["reason"] == "out_of_stock"
    assert customer.coupon(coupon)["status"] == "AVAILABLE"
    assert steps_of(customer, order) == {"stock": "UNDONE", "coupon": "UNDONE"}
    assert decision(databases, "coupon", order) in ("RESTORED", "CANCELED_FIRST")


def decision(databases: Databases, service: str, order: str) -> str:
    table = {"product": "product_app_stockdecision", "coupon": "coupon_app_coupondecision"}[service]
    return str(databases.value(service, f"SELECT decision FROM {table} WHERE order_id = %s", [order]))


def unknown(shop: Shop, shelves: Shelves, customer: Person) -> str:
    return str(uuid4())


def someone_elses(shop: Shop, shelves: Shelves, customer: Person) -> str:
    return shelves.coupon(shop.visitor())


def expired(shop: Shop, shelves: Shelves, customer: Person) -> str:
    return shelves.coupon(customer, valid_until=(datetime.now(UTC) - timedelta(hours=1)).isoformat())


def not_yet_valid(shop: Shop, shelves: Shelves, customer: Person) -> str:
    return shelves.coupon(customer, valid_from=(datetime.now(UTC) + timedelta(hours=1)).isoformat())


def for_dearer_orders(shop: Shop, shelves: Shelves, customer: Person) -> str:
    return shelves.coupon(customer, minimum_order="1000000", currency="KRW")


def of_another_currency(shop: Shop, shelves: Shelves, customer: Person) -> str:
    return shelves.coupon(customer, kind="amount", value="5", currency="USD")


def used_before(shop: Shop, shelves: Shelves, customer: Person) -> str:
    coupon = shelves.coupon(customer)
    customer.wait_ended(customer.place({shelves.product(1): 1}, coupon), "CONFIRMED")
    return coupon


@pytest.mark.parametrize(
    ("coupon", "reason"),
    [
        (unknown, "unknown_coupon"),
        (someone_elses, "not_owner"),
        (expired, "expired"),
        (not_yet_valid, "not_yet_valid"),
        (for_dearer_orders, "below_minimum"),
        (of_another_currency, "currency_mismatch"),
        (used_before, "already_used"),
    ],
)
def test_an_order_with_a_bad_coupon_is_accepted_then_canceled_and_its_stock_comes_back(
    coupon, reason: str, shop: Shop, shelves: Shelves
):
    customer = shop.visitor()
    product, bad = shelves.product(10), coupon(shop, shelves, customer)

    order = customer.place({product: 4}, bad)

    assert customer.wait_ended(order, "CANCELED")["reason"] == reason
    assert shelves.stock(product) == 10
    assert steps_of(customer, order) == {"stock": "UNDONE", "coupon": "UNDONE"}


def test_a_customer_cancels_a_confirmed_order_and_asking_twice_cancels_once(
    newcomer: Person, shelves: Shelves, log: ForeignClient
):
    product, coupon = shelves.product(10), shelves.coupon(newcomer)
    order = newcomer.place({product: 4}, coupon)
    newcomer.wait_ended(order, "CONFIRMED")
    eventually(lambda: purchases_of(newcomer), "the purchase")

    newcomer.cancel(order)
    newcomer.cancel(order)

    assert newcomer.wait_ended(order, "CANCELED")["reason"] == "canceled_by_customer"
    assert shelves.stock(product) == 10
    assert newcomer.coupon(coupon)["status"] == "AVAILABLE"
    assert steps_of(newcomer, order) == {"stock": "UNDONE", "coupon": "UNDONE"}
    expected = ["OrderCreated", "OrderConfirmed", "OrderCanceled"]
    assert [record.type for record in log.read("order.events", order)] == expected
    eventually(lambda: purchases_of(newcomer) is None, "the purchase to be taken back")


def test_staff_cancels_a_customers_order_with_a_reason(
    shop: Shop, staff: Person, shelves: Shelves, databases: Databases
):
    customer, product = shop.visitor(), shelves.product(10)
    order = customer.place({product: 4})
    customer.wait_ended(order, "CONFIRMED")

    staff.cancel(order, "damaged in the warehouse")

    customer.wait_ended(order, "CANCELED")
    assert shelves.stock(product) == 10
    rows = databases.ask(
        "order", "SELECT reason FROM order_app_operatoraction WHERE targets::text LIKE %s", [f"%{order}%"]
    )
    assert rows == [("damaged in the warehouse",)]


def test_nobody_sees_or_cancels_anothers_order(shop: Shop, shelves: Shelves):
    customer, other = shop.visitor(), shop.visitor()
    order = customer.place({shelves.product(1): 1})
    customer.wait_ended(order, "CONFIRMED")

    paths = ("", "/saga")
    assert [other.request("GET", "order", f"/orders/{order}{path}").status_code for path in paths] == [404, 404]
    assert other.request("POST", "order", f"/orders/{order}/cancel", {}).status_code == 404
    assert customer.order(order)["status"] == "CONFIRMED"
