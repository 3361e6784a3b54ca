"""Products with stock, orders asking for them, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from messaging.models import OutboxRow
from product_app import services
from product_app.domain import Request
from product_app.models import Product
from saga.participant import Incoming
from webapi.authentication import TokenUser
from webapi.roles import Role


@pytest.fixture
def make_product(db: None) -> Callable[..., Product]:
    """Create a product with this many pieces in stock."""

    def make(quantity: int = 0, name: str = "Tea", price: str = "12000", currency: str = "KRW", **more: Any) -> Product:
        with transaction.atomic():
            product = services.create_product(name=name, price=Decimal(price), currency=currency, **more)
            if quantity:
                services.adjust_stock(product_id=product.id, delta=quantity, reason="delivery", actor="test")
        product.refresh_from_db()
        return product

    return make


@pytest.fixture
def ask(db: None) -> Callable[..., None]:
    """Ask several things of the stock in one transaction: (what, order id, lines)."""

    def ask(*asked: tuple[Any, ...]) -> None:
        requests = [(Request(Incoming[what], order_id, tuple(*lines)), None) for what, order_id, *lines in asked]
        with transaction.atomic():
            services.answer_order_events(requests=requests)

    return ask


@pytest.fixture
def answers(db: None) -> Callable[[UUID], list[dict[str, Any]]]:
    """Return what was answered to an order: the events' data with their name under `event`, in order."""

    def answers(key: UUID) -> list[dict[str, Any]]:
        rows = OutboxRow.objects.filter(key=str(key)).order_by("id")
        return [{"event": row.type.split(".")[1], **json.loads(bytes(row.data))} for row in rows]

    return answers


@pytest.fixture
def anyone() -> APIClient:
    return APIClient()


@pytest.fixture
def customer() -> APIClient:
    return _client(is_staff=False)


@pytest.fixture
def staff() -> APIClient:
    return _client(is_staff=True)


def _client(*, is_staff: bool) -> APIClient:
    client = APIClient()
    client.force_authenticate(
        user=TokenUser(id=uuid4(), is_staff=is_staff, roles=frozenset(Role) if is_staff else frozenset())
    )
    return client
