"""What the order service's tests begin with, and what they look at afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from contracts.coupon import CouponRestored, CouponUsed, CouponUseFailed
from contracts.product import ProductChanged, StockReduced, StockReduceFailed, StockRestored
from contracts.user import UserChanged
from messaging import Event
from messaging.testing import deliver
from order_app import services
from order_app.domain import LineRequest, OrderRequest
from order_app.models import Order, Saga, SagaHistory


def a_product(price: str = "10.00", currency: str = "USD", *, active: bool = True, version: int = 1) -> UUID:
    """Announce a product, and return its id."""
    product_id = uuid4()
    deliver(product_changed(product_id, version, price=Decimal(price), currency=currency, active=active))
    return product_id


def product_changed(product_id: UUID, version: int, **changes: Any) -> ProductChanged:
    """Return an announcement of a product."""
    usual = {"name": f"tea {version}", "price": Decimal("10.00"), "currency": "USD", "active": True}
    return ProductChanged(product_id=product_id, version=version, **{**usual, **changes})


def an_inactive_user() -> UUID:
    """Announce a user who was deactivated, and return the id."""
    user_id = uuid4()
    deliver(UserChanged(user_id=user_id, version=2, active=False))
    return user_id


def an_order(*, coupon: bool = True, user_id: UUID | None = None, product_id: UUID | None = None) -> UUID:
    """Place an order of two pieces at 10.00 USD, and return its id."""
    lines = (LineRequest(product_id or a_product(), 2),)
    request = OrderRequest(user_id or uuid4(), lines, uuid4() if coupon else None)
    with transaction.atomic():
        return services.place_order(request=request).id


def reduced(order_id: UUID) -> StockReduced:
    """Return product's yes."""
    return StockReduced(order_id=order_id, lines=())


def reduce_failed(order_id: UUID, reason: str = "out_of_stock") -> StockReduceFailed:
    """Return product's no."""
    return StockReduceFailed(order_id=order_id, reason=reason)


def stock_restored(order_id: UUID, *, restored: bool = True) -> StockRestored:
    """Return product's undo."""
    return StockRestored(order_id=order_id, restored=restored)


def used(order_id: UUID, discount: str = "3.00") -> CouponUsed:
    """Return coupon's yes."""
    return CouponUsed(order_id=order_id, coupon_id=uuid4(), discount=Decimal(discount))


def use_failed(order_id: UUID, reason: str = "not_owner") -> CouponUseFailed:
    """Return coupon's no."""
    return CouponUseFailed(order_id=order_id, coupon_id=uuid4(), reason=reason)


def coupon_restored(order_id: UUID, *, restored: bool = True) -> CouponRestored:
    """Return coupon's undo."""
    return CouponRestored(order_id=order_id, restored=restored)


def a_confirmed_order(**options: Any) -> UUID:
    """Place an order, let everybody agree, and return its id."""
    order_id = an_order(**options)
    answers: list[Event] = [reduced(order_id)]
    if Order.objects.get(id=order_id).coupon_id:
        answers.append(used(order_id))
    deliver(*answers)
    return order_id


def shape(order_id: UUID) -> tuple[str, str, dict[str, str]]:
    """Return the states of order, saga and steps."""
    saga = Saga.objects.select_related("order").get(order_id=order_id)
    return saga.order.status, saga.status, {step.name: step.status for step in saga.steps.all()}


def story(order_id: UUID) -> list[str]:
    """Return the history as lines of text."""
    rows = SagaHistory.objects.filter(saga_id=order_id)
    return [f"{row.step or 'saga'} {row.from_status}>{row.to_status} {row.event.split('.')[1]}" for row in rows]


def all_rows() -> dict[str, list[tuple[Any, ...]]]:
    """Return the domain rows, without the ledgers."""
    return {
        "orders": list(Order.objects.order_by("id").values_list("id", "status", "reason", "discount")),
        "sagas": list(Saga.objects.order_by("order_id").values_list("order_id", "status", "flagged", "undo_count")),
        "steps": [
            step
            for saga in Saga.objects.order_by("order_id")
            for step in saga.steps.values_list("saga_id", "name", "status", "succeeded", "attempts")
        ],
    }
