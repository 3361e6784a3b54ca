"""What the coupon service publishes: answers to orders on `coupon.events`, claims on `coupon.claims`."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from contracts.values import Reason, check_amounts
from messaging.event import Event, event

TOPIC = "coupon.events"
CLAIMS = "coupon.claims"


@event("coupon.CouponUsed.v1", topic=TOPIC, key="order_id")
class CouponUsed(Event, frozen=True, kw_only=True):
    """This order uses the coupon. `discount` is in the order's currency and never above its total."""

    order_id: UUID
    coupon_id: UUID
    discount: Decimal

    def __post_init__(self) -> None:
        check_amounts(self.discount)


@event("coupon.CouponUseFailed.v1", topic=TOPIC, key="order_id")
class CouponUseFailed(Event, frozen=True, kw_only=True):
    """The coupon is not used. `reason`: unknown_coupon, not_owner, already_used, expired, not_yet_valid, below_minimum,
    currency_mismatch, no_discount, retries_exhausted or order_canceled.
    """

    order_id: UUID
    coupon_id: UUID
    reason: Reason


@event("coupon.CouponRestored.v1", topic=TOPIC, key="order_id")
class CouponRestored(Event, frozen=True, kw_only=True):
    """The canceled order uses no coupon. `restored` is false when it never used one."""

    order_id: UUID
    restored: bool


@event("coupon.CouponClaimRequested.v1", topic=CLAIMS, key="campaign_id")
class CouponClaimRequested(Event, frozen=True, kw_only=True):
    """A user asks for a coupon of a campaign. The log's order decides who gets one."""

    claim_id: UUID
    campaign_id: UUID
    user_id: UUID
