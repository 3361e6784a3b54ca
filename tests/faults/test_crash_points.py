"""A process that dies at any of the named points loses nothing and doubles nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from stack import control
from tests.faults import crash_points
from tests.faults.checker import SoakChecker
from tests.faults.findings import Finding
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.waiting import eventually

PATIENT_SECONDS = 120.0
POINTS = [
    *(("product-worker", point) for point in (*crash_points.OF_CONSUMER, *crash_points.OF_RELAY)),
    *(("order-web", point) for point in crash_points.OF_WEB),
]


@pytest.mark.parametrize("name", ["product-worker", "order-web"])
def test_a_process_that_dies_at_every_point_in_turn_leaves_everything_right(
    name: str,
    shop: Shop,
    shelves: Shelves,
    armed: Path,
    checker: SoakChecker,
    new_findings: Callable[[], list[Finding]],
):
    customer, product = shop.visitor(), shelves.product(100)
    points = [point for process, point in POINTS if process == name]
    orders = []
    for point in points:
        file = crash_points.arm(armed, name, point)
        orders.append(place_until_known(customer, product))
        eventually(lambda: not file.exists(), f"somebody to die {point}", seconds=PATIENT_SECONDS)  # noqa: B023
    for order in orders:
        customer.wait_ended(order, "CONFIRMED", PATIENT_SECONDS)
    eventually(lambda: not checker.unrest(), "rest", seconds=PATIENT_SECONDS, state=checker.unrest)
    assert shelves.stock(product) == 100 - len(points)
    assert new_findings() == []
    control.wait_running(name, timeout=PATIENT_SECONDS)


def place_until_known(customer: Person, product: str) -> str:
    """Send the request for an order, always with the same key, until it is answered; return the order's id."""
    key, body = str(uuid4()), {"lines": [{"product_id": product, "quantity": 1}], "coupon_id": None}

    def answer() -> requests.Response | None:
        try:
            found = customer.request("POST", "order", "/orders", body, Idempotency_Key=key)
        except requests.RequestException:
            return None
        return found if found.status_code == 202 else None

    return str(eventually(answer, "an order to be accepted", seconds=PATIENT_SECONDS).json()["id"])
