"""Who the coupon service listens to. Read this first, then services.py, then domain.py."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from contracts.coupon import CouponClaimRequested
from contracts.order import OrderCanceled, OrderCreated
from contracts.user import UserChanged
from coupon_app import services
from messaging import Context, Delivery, subscribe


def on_order_event_exhausted(event: OrderCreated | OrderCanceled, context: Context) -> None:
    """Every attempt at the event failed: the order still gets its answer."""
    services.refuse_exhausted(event=event, context=context, now=timezone.now())


@subscribe(
    OrderCreated,
    OrderCanceled,
    batch=True,
    group="coupon",
    name="coupon.on_order_event",
    on_exhausted=on_order_event_exhausted,
    replay="skip",
)
def on_order_event(deliveries: Sequence[Delivery]) -> None:
    """Use the order's coupon, or give it back."""
    services.answer_orders(deliveries=deliveries, now=timezone.now())


@subscribe(
    CouponClaimRequested, batch=True, group="coupon-claims", name="coupon.on_coupon_claim_requested", replay="skip"
)
def on_coupon_claim_requested(deliveries: Sequence[Delivery]) -> list[tuple[Delivery, str]]:
    """Grant the campaign's coupons, first come first served in the order of the log."""
    return services.decide_claims(deliveries=deliveries, now=timezone.now())


@subscribe(UserChanged, batch=True, group="coupon", name="coupon.on_user_changed", replay="safe")
def on_user_changed(deliveries: Sequence[Delivery]) -> None:
    """Keep the local copy of users."""
    services.keep_users(events=[delivery.event for delivery in deliveries])
