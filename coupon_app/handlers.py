"""The events that the coupon service handles. Read this first, then services.py, then domain.py."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from contracts.coupon import CouponClaimRequested
from contracts.order import OrderCanceled, OrderCreated
from contracts.user import UserChanged
from coupon_app import services
from messaging import Context, Delivery, subscribe


def on_order_created_exhausted(event: OrderCreated, context: Context) -> None:
    """Every attempt failed: refuse the order, unless it is already decided."""
    services.refuse_exhausted(event=event, context=context, now=timezone.now())


@subscribe(
    OrderCreated,
    batch=True,
    group="coupon",
    name="coupon.on_order_created",
    on_exhausted=on_order_created_exhausted,
    replay="skip",
)
def on_order_created(deliveries: Sequence[Delivery]) -> None:
    """Use the order's coupon, or refuse the order."""
    services.answer_orders(deliveries=deliveries, now=timezone.now())


# No on_exhausted: no answer means "could not give back". The event becomes a dead letter, and its key waits.
@subscribe(OrderCanceled, batch=True, group="coupon", name="coupon.on_order_canceled", replay="skip")
def on_order_canceled(deliveries: Sequence[Delivery]) -> None:
    """Give the order's coupon back."""
    services.answer_orders(deliveries=deliveries, now=timezone.now())


@subscribe(
    CouponClaimRequested, batch=True, group="coupon-claims", name="coupon.on_coupon_claim_requested", replay="skip"
)
def on_coupon_claim_requested(deliveries: Sequence[Delivery]) -> list[tuple[Delivery, str]]:
    """Grant the campaign's coupons, first come first served in the order of the log."""
    return services.decide_claims(deliveries=deliveries, now=timezone.now())


@subscribe(UserChanged, batch=True, group="coupon", name="coupon.on_user_changed", replay="safe")
def on_user_changed(deliveries: Sequence[Delivery]) -> None:
    """Update the local copies of users."""
    services.keep_users(events=[delivery.event for delivery in deliveries])
