"""A long past changes no plan: stock is held, refused and given back by the same indexes over many old rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from contracts.order import OrderCanceled, OrderCreated, OrderLine
from messaging.parking import circuit_breaker
from messaging.registry import handler_named
from messaging.testing import deliver, forget_published
from product_app.models import Product
from tests.plans import same_plans_on_old_rows

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
GROWING = {"product_app_stockdecision", "product_app_stockhold", "messaging_inbox"}


def created(product_id: UUID) -> OrderCreated:
    lines = (OrderLine(product_id=product_id, quantity=1, unit_price=Decimal(12_000)),)
    money = {"total": Decimal(12_000), "currency": "KRW"}
    return OrderCreated(order_id=uuid4(), user_id=uuid4(), lines=lines, coupon_id=None, created_at=NOW, **money)


def canceled(order: OrderCreated) -> OrderCanceled:
    whose = {"order_id": order.order_id, "user_id": order.user_id, "lines": order.lines, "coupon_id": None}
    return OrderCanceled(**whose, reason="customer", actor="customer")


def test_the_hot_path_of_stock_has_the_same_plans_over_a_long_past(make_product: Callable[..., Product]) -> None:
    product_id = make_product(1000).id

    def hot_path() -> None:
        orders = [created(product_id) for _ in range(20)]
        deliver(*orders)
        deliver(created(uuid4()), *orders)
        deliver(*[canceled(order) for order in orders[:10]], canceled(created(product_id)))
        deliver(created(product_id), singly=True)
        forget_published()

    def full_batches() -> None:
        orders = [created(product_id) for _ in range(500)]
        deliver(*orders)
        deliver(*[canceled(order) for order in orders])
        circuit_breaker.check(
            handler_named("product.on_order_canceled"), "a failure"
        )  # seldom called: its rows are far between

    same_plans_on_old_rows("product", hot_path, GROWING, full_batches)
