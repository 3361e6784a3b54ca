"""The events that the order service handles."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.coupon import CouponRestored, CouponUsed, CouponUseFailed
from contracts.product import ProductChanged, StockReduced, StockReduceFailed, StockRestored
from contracts.user import UserChanged
from messaging import Delivery, subscribe
from order_app import services


@subscribe(
    StockReduced,
    StockReduceFailed,
    StockRestored,
    CouponUsed,
    CouponUseFailed,
    CouponRestored,
    batch=True,
    replay="skip",
    name="order.on_answer",
)
def on_answer(deliveries: Sequence[Delivery]) -> list[tuple[Delivery, str]]:
    """A participant answered: confirm the order, cancel it, or record that the participant has undone its step."""
    return services.apply_answers(deliveries=deliveries)


@subscribe(ProductChanged, batch=True, replay="safe", name="order.on_product_changed")
def on_product_changed(deliveries: Sequence[Delivery]) -> None:
    """A product changed: update its local copy."""
    services.copy_products(deliveries=deliveries)


@subscribe(UserChanged, batch=True, replay="safe", name="order.on_user_changed")
def on_user_changed(deliveries: Sequence[Delivery]) -> None:
    """A user changed: update the local copy."""
    services.copy_users(deliveries=deliveries)
