"""Idempotency-Key: products and adjustments are made once, and a key belongs to one request."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from product_app import selectors, services, tasks
from product_app.models import IdempotencyKey, Product, StockAdjustment

pytestmark = pytest.mark.django_db(transaction=True)
MakeProduct = Callable[..., Product]
PRODUCTS = "/api/v1/products"
KEY = {"Idempotency-Key": "k"}


def adjust(staff: APIClient, product: Product, headers: dict[str, str] = KEY) -> Any:
    """Add a piece."""
    return staff.post(f"{PRODUCTS}/{product.id}/stock-adjustments", {"delta": 1, "reason": "x"}, headers=headers)


def test_a_product_sent_twice_with_one_key_is_made_once(staff: APIClient) -> None:
    tea = {"name": "Tea", "price": "9.90", "currency": "USD"}
    first, again = (staff.post(PRODUCTS, tea, headers=KEY) for _ in range(2))

    assert (again.status_code, again.json(), Product.objects.count()) == (201, first.json(), 1)
    assert (first.headers.get("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (None, "true")
    assert staff.post(PRODUCTS, {**tea, "name": "Pot"}, headers=KEY).status_code == 422


def test_without_a_key_every_request_is_a_new_one(staff: APIClient) -> None:
    tea = {"name": "Tea", "price": "9.90", "currency": "USD"}

    assert staff.post(PRODUCTS, tea).json()["id"] != staff.post(PRODUCTS, tea).json()["id"]


def test_one_key_for_two_products_at_once_is_a_201_and_a_422(staff: APIClient, make_product: MakeProduct) -> None:
    products = [make_product(5) for _ in range(2)]
    barrier = Barrier(2)

    def post(product: Product, key: str) -> tuple[int, str]:
        try:
            barrier.wait()
            answer = adjust(staff, product, {"Idempotency-Key": key})
            return answer.status_code, answer.json().get("code", "")
        finally:
            connection.close()

    for key in map(str, range(10)):
        with ThreadPoolExecutor(2) as pool:
            answers = sorted(pool.map(post, products, [key, key]))
        assert answers == [(201, ""), (422, "idempotency_key_reused")]


def test_a_key_of_another_product_is_refused_also_when_its_answer_has_left(
    staff: APIClient, make_product: MakeProduct, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = make_product(5), make_product(5)
    made = adjust(staff, first)
    IdempotencyKey.objects.all().delete()

    assert adjust(staff, other).json()["code"] == "idempotency_key_reused"
    # Both at the same moment: neither sees the row of the other.
    monkeypatch.setattr(selectors, "find_adjustment", lambda **_: None)
    actor = StockAdjustment.objects.get(id=made.json()["id"]).actor
    with pytest.raises(services.RequestKeyReused), transaction.atomic():
        services.adjust_stock(product_id=other.id, delta=1, reason="x", actor=actor, request_key="k")
    assert Product.objects.get(id=other.id).quantity == 5


def test_a_path_in_upper_case_is_the_same_request(staff: APIClient, make_product: MakeProduct) -> None:
    tea = make_product(5)
    address = f"{PRODUCTS}/{str(tea.id).upper()}/stock-adjustments"
    again = [adjust(staff, tea), staff.post(address, {"delta": 1, "reason": "x"}, headers=KEY)][1]

    assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")


def test_keys_leave_after_their_time() -> None:
    for hours in (100, 1):
        at = timezone.now() - timedelta(hours=hours)
        IdempotencyKey.objects.create(user_id=uuid4(), key="k", body_hash="x", created_at=at)

    assert (tasks.clean_up(), IdempotencyKey.objects.count()) == (1, 1)
