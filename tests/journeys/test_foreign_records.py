"""What a foreign Kafka client can do to us: repeat events, and publish well-formed ones of its own."""

from __future__ import annotations

from tests.journeys.consistency import Checker
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.processes import stopped
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.waiting import eventually

TIMES = 100
ANSWERS = ("order.events", "product.events", "coupon.events")


def test_events_delivered_a_hundred_times_change_nothing_more(
    shop: Shop, shelves: Shelves, checker: Checker, databases: Databases, log: ForeignClient
):
    customer = shop.visitor()
    confirmed = customer.place({shelves.product(10): 2}, shelves.coupon(customer))
    canceled = customer.place({shelves.product(1): 2}, shelves.coupon(customer))
    customer.wait_ended(confirmed, "CONFIRMED")
    customer.wait_ended(canceled, "CANCELED")
    checker.wait_for_rest()
    originals = [record for topic in ANSWERS for order in (confirmed, canceled) for record in log.read(topic, order)]
    before, ends = databases.dump(), log.ends(*ANSWERS)

    for record in originals:
        log.publish_again(record, TIMES)
    checker.wait_for_rest()

    assert {record.type for record in originals} >= {"OrderCreated", "StockReduced", "CouponUsed", "OrderCanceled"}
    assert databases.dump() == before
    assert sum(log.ends(*ANSWERS).values()) == sum(ends.values()) + TIMES * len(originals)
    assert {record.partition for record in log.read("order.events", confirmed)} == {partition_of(originals, confirmed)}


def partition_of(records: list, key: str) -> int:
    """Return where our own relay put the key: a foreign murmur2 has to agree."""
    return next(record.partition for record in records if record.topic == "order.events" and record.key == key)


def test_an_event_that_waits_a_hundred_times_over_is_applied_once(shop: Shop, shelves: Shelves, log: ForeignClient):
    customer, product = shop.visitor(), shelves.product(1000)

    with stopped("product-worker"):
        order = customer.place({product: 3})
        [created] = eventually(lambda: log.read("order.events", order), "OrderCreated in the log")
        log.publish_again(created, TIMES - 1)

    customer.wait_ended(order, "CONFIRMED")
    assert shelves.stock(product) == 997
    assert [record.type for record in log.read("product.events", order)] == ["StockReduced"]


def test_a_foreign_refusal_while_product_is_down_cancels_the_order(
    customer: Person, shelves: Shelves, log: ForeignClient
):
    product, coupon = shelves.product(10), shelves.coupon(customer)
    with stopped("product-worker"):
        order = customer.place({product: 2}, coupon)
        [created] = eventually(lambda: log.read("order.events", order), "OrderCreated in the log")
        refusal = {"order_id": order, "reason": "out_of_stock", "detail": "says a stranger"}
        log.publish_event("product.events", "product.StockReduceFailed.v1", order, refusal)

        eventually(lambda: customer.order(order)["status"] == "CANCELED", "the order to be canceled")
        assert customer.order(order)["reason"] == "out_of_stock"
        assert customer.saga(order)["status"] == "COMPENSATING"

    customer.wait_ended(order, "CANCELED")
    assert shelves.stock(product) == 10
    assert customer.coupon(coupon)["status"] == "AVAILABLE"
    assert_is_cloud_event(created.headers, order)
    answers = [record.type for record in log.read("product.events", order)]
    assert answers == ["StockReduceFailed", "StockReduced", "StockRestored"]


def assert_is_cloud_event(headers: dict[str, str], order: str) -> None:
    """Check the headers of CloudEvents 1.0 in binary mode that an external client relies on."""
    fixed = {"ce_specversion": "1.0", "ce_source": "/order", "ce_type": "order.OrderCreated.v1"}
    assert headers.items() >= (fixed | {"content-type": "application/json"}).items()
    assert (headers["ce_subject"], headers["ce_correlationid"]) == (order, order)
    assert headers["ce_id"] and headers["ce_time"].endswith("Z")


def test_a_foreign_answer_for_an_unknown_order_is_a_dead_letter_and_holds_up_nobody(
    shop: Shop, shelves: Shelves, log: ForeignClient, checker: Checker, databases: Databases
):
    stranger, customer = "01999999-0000-7000-8000-000000000000", shop.visitor()
    data = {"order_id": stranger, "reason": "out_of_stock", "detail": ""}
    event_id = log.publish_event("product.events", "product.StockReduceFailed.v1", stranger, data)
    checker.injected.dead_letters.add(event_id)

    query = "SELECT reason FROM messaging_dead_letter WHERE event_id = %s"
    assert eventually(lambda: databases.ask("order", query, [event_id]), "the dead letter") == [("unknown_order",)]
    customer.wait_ended(customer.place({shelves.product(1): 1}), "CONFIRMED")


def test_a_type_that_nobody_knows_is_passed_over(
    shop: Shop, shelves: Shelves, log: ForeignClient, databases: Databases
):
    customer = shop.visitor()
    order = customer.place({shelves.product(1): 1})
    customer.wait_ended(order, "CONFIRMED")

    event_id = log.publish_event("order.events", "order.OrderPainted.v1", order, {"order_id": order, "colour": "red"})

    customer.cancel(order)
    customer.wait_ended(order, "CANCELED")
    for service in databases.urls:
        assert databases.ask(service, "SELECT 1 FROM messaging_inbox WHERE event_id = %s", [event_id]) == []
