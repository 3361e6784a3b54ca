"""Sagas whose end comes late: a stuck compensation, a deadline, and our own backlog, on the running services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from stack import control, services, testing
from stack.layout import Layout
from tests.journeys.conftest import SETTINGS
from tests.journeys.console import Console
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.foreign_member import CLIENT_ID, foreign_member
from tests.journeys.processes import second_worker, stopped
from tests.journeys.shop import Person, Shelves
from tests.journeys.waiting import eventually

#: Those that read the settings of a saga; the clock does not.
ORDER_PROCESSES = ("order-web", "order-worker")
START_SECONDS = 180.0
QUICK_UNDO = {"SAGA_UNDO_RETRY_SECONDS": "1", "SAGA_UNDO_RETRY_CAP_SECONDS": "2", "SAGA_UNDO_BUDGET_SECONDS": "3"}
QUICK_DEADLINE = {"SAGA_DEADLINE_SECONDS": "3"}


@dataclass
class OrderService:
    """The order service of the stack, which restarts when a test wants it with other settings."""

    url: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def run_with(self, settings: Mapping[str, str]) -> None:
        """Let the service run with these settings beside the usual ones, and wait until it is ready."""
        if settings == self.settings:
            return
        self.settings = settings
        control.stop_all(ORDER_PROCESSES)
        testing.configure(SETTINGS | settings)
        for name in ORDER_PROCESSES:
            control.start(name, wait=False)
        for name in ORDER_PROCESSES:
            control.wait_running(name)
        eventually(lambda: services.is_ready(self.url), "the order service to be ready", seconds=START_SECONDS)


@pytest.fixture(scope="module")
def order_service(variables: dict[str, str]) -> Iterator[OrderService]:
    """The order service, which has its usual settings again after the last test."""
    service = OrderService(variables["ORDER_URL"])
    yield service
    service.run_with({})


@pytest.fixture
def quick_undo(order_service: OrderService) -> None:
    order_service.run_with(QUICK_UNDO)


@pytest.fixture
def quick_deadline(order_service: OrderService) -> None:
    order_service.run_with(QUICK_DEADLINE)


def steps_of(person: Person, order: str) -> dict[str, str]:
    return {step["name"]: step["status"] for step in person.saga(order)["steps"]}


def became(person: Person, order: str) -> list[tuple[str, str]]:
    """Return (step, status) of every transition, in order; the saga itself has no name."""
    return [(row["step"], row["to"]) for row in person.saga(order)["history"] if row["from"] != row["to"]]


def wait_for_saga(person: Person, order: str, status: str) -> None:
    eventually(
        lambda: person.saga(order)["status"] == status, f"{order} to be {status}", state=lambda: person.saga(order)
    )


def test_a_stuck_compensation_is_shown_resolved_by_hand_and_ended_by_its_late_answer(
    quick_undo: None, customer: Person, shelves: Shelves, variables: dict[str, str], log: ForeignClient
):
    product, coupon = shelves.product(10), shelves.coupon(customer)
    order = customer.place({product: 3}, coupon)
    customer.wait_ended(order, "CONFIRMED")
    console = Console(variables, "order")

    with stopped("product-worker"):
        customer.cancel(order)
        wait_for_saga(customer, order, "COMPENSATION_STUCK")
        eventually(lambda: steps_of(customer, order) == {"stock": "UNDOING", "coupon": "UNDONE"}, "the coupon's undo")
        [reason] = customer.saga(order)["waiting_for"]
        page = console.get(f"/order_app/saga/{order}/change/").text
        answer = console.act("order_app/saga", "resolve_by_hand", order, "counted on the shelf")
        wait_for_saga(customer, order, "BY_HAND")
        assert (steps_of(customer, order)["stock"], shelves.stock(product)) == ("WAIVED", 7)

    assert reason == "stock: no answer from product yet; the saga waits for its undo answer"
    assert "COMPENSATION_STUCK" in page and reason in page
    assert "COMPENSATION_STUCK → BY_HAND" in answer
    customer.wait_ended(order, "CANCELED")
    assert steps_of(customer, order) == {"stock": "UNDONE", "coupon": "UNDONE"}
    assert [status for step, status in became(customer, order) if not step][2:] == [
        "COMPENSATING", "COMPENSATION_STUCK", "BY_HAND", "COMPENSATED"
    ]  # fmt: skip
    assert (shelves.stock(product), customer.coupon(coupon)["status"]) == (10, "AVAILABLE")
    assert_the_undo_was_sent_again(log, order)


def assert_the_undo_was_sent_again(log: ForeignClient, order: str) -> None:
    """Check that the same request, caused by the first, was sent and answered more than once."""
    first, *again = [record for record in log.read("order.events", order) if record.type == "OrderCanceled"]
    assert again
    assert {record.value for record in again} == {first.value}
    assert {record.headers["ce_causationid"] for record in again} == {first.id}
    answers = [record for record in log.read("product.events", order) if record.type == "StockRestored"]
    assert {record.data["restored"] for record in answers} == {True}


def test_a_saga_is_canceled_by_its_deadline_and_the_late_success_is_undone(
    quick_deadline: None, customer: Person, shelves: Shelves
):
    product, coupon = shelves.product(10), shelves.coupon(customer)

    with stopped("product-worker"):
        order = customer.place({product: 3}, coupon)
        wait_for_saga(customer, order, "COMPENSATING")
        shown = customer.order(order)
        assert (shown["status"], shown["reason"]) == ("CANCELED", "deadline_passed")
        eventually(lambda: steps_of(customer, order) == {"stock": "UNDOING", "coupon": "UNDONE"}, "the coupon's undo")

    customer.wait_ended(order, "CANCELED")
    events = [(row["event"].split(".")[1], row["from"], row["to"]) for row in customer.saga(order)["history"]]
    assert events.index(("StockReduced", "UNDOING", "UNDOING")) < events.index(("StockRestored", "UNDOING", "UNDONE"))
    assert (shelves.stock(product), customer.coupon(coupon)["status"]) == (10, "AVAILABLE")


def test_our_own_backlog_cancels_no_order_however_late(
    quick_deadline: None, customer: Person, shelves: Shelves, log: ForeignClient, databases: Databases
):
    product = shelves.product(10)

    # Given answers that we have not read when the deadline passes: the timers run, and no consumer of ours
    with stopped("order-worker"), second_worker("order-worker", "--no-consumer"):
        with stopped("order-beat"):
            order = customer.place({product: 3})
            eventually(lambda: log.read("product.events", order), "product's answer")
            eventually(lambda: databases.value("order", PAST_DEADLINE, [order]), "the deadline")
        eventually(lambda: databases.value("order", LOOKED_AT, [order]), "a sweep to look at the saga")
        shown, saga = customer.order(order), customer.saga(order)

    # Then the sweep waits for our own reading, says so, and the answer is heard
    assert (shown["status"], saga["status"]) == ("PENDING", "RUNNING")
    assert "the order service has not read product.events/" in saga["waiting_for"][0]
    customer.wait_ended(order, "CONFIRMED")
    assert shelves.stock(product) == 7


PAST_DEADLINE = "SELECT deadline < now() FROM order_app_saga WHERE order_id = %s"
LOOKED_AT = "SELECT guard_offsets IS NOT NULL FROM order_app_saga WHERE order_id = %s"


def test_a_foreign_member_of_a_participants_group_cancels_no_order_and_is_named(
    quick_deadline: None,
    customer: Person,
    staff: Person,
    shelves: Shelves,
    log: ForeignClient,
    databases: Databases,
    variables: dict[str, str],
):
    product = shelves.product(100)

    # Given somebody's consumer in product's group, which commits nothing
    with foreign_member(variables["KAFKA_BOOTSTRAP_SERVERS"], "product", "order.events") as stranger:
        orders = [customer.place({product: 1}) for _ in range(ORDERS)]
        places = {order: eventually(lambda: log.read("order.events", order), "OrderCreated") for order in orders}  # noqa: B023
        starved = [order for order, [record, *_] in places.items() if record.partition in stranger.partitions]
        assert 0 < len(starved) < ORDERS

        # When their deadline has passed, several sweeps have looked, and the service has compared its members
        for order in starved:
            eventually(lambda: databases.value("order", REQUEST_IS_UNREAD, [order]), "a sweep to see it")  # noqa: B023
        url = variables["PRODUCT_URL"]
        eventually(lambda: workers(url)["foreign_members"], "the stranger to be named", seconds=60.0)
        eventually(lambda: workers(url)["stopped_partitions"], "its partitions to be named", seconds=60.0)

        # Then no order was canceled, and the stranger is named
        assert workers(url)["foreign_members"] == [f"product: {CLIENT_ID}"]
        assert workers(url)["stopped_partitions"] == len(stranger.partitions)
        for order in starved:
            shown, [reason] = customer.order(order), staff.saga(order)["waiting_for"]
            assert (shown["status"], customer.saga(order)["status"]) == ("PENDING", "RUNNING")
            assert reason.startswith("stock: a foreign member of product's consumer group has order.events/")
            assert CLIENT_ID in reason and "the deadline waits until product has read order.events/" in reason
            assert CLIENT_ID not in customer.saga(order)["waiting_for"][0]
        named = "a foreign member is in the consumer group product (client id console-consumer"
        assert named in (Layout.current().log / "product-worker.log").read_text()

    # And when it has left, every order ends well
    for order in orders:
        customer.wait_ended(order, "CONFIRMED")
    for what in ("stopped_partitions", "foreign_members"):
        eventually(lambda: not workers(url)[what], f"no {what} any more", seconds=60.0)  # noqa: B023
    assert shelves.stock(product) == 100 - ORDERS


#: Enough that both consumers of the group are given some.
ORDERS = 12
REQUEST_IS_UNREAD = "SELECT guard_offsets::text LIKE '%%order.events/%%' FROM order_app_saga WHERE order_id = %s"


def workers(url: str) -> dict[str, Any]:
    """Return what a service says about its workers."""
    found: dict[str, Any] = requests.get(f"{url}/readyz", timeout=10).json()["workers"]
    return found
