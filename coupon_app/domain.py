"""How the coupon service answers an order, by the table of `saga/participant.py`; and the rules of a coupon's use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from coupon_app.campaigns import Terms, discount
from money import MINOR_UNITS
from saga.participant import CANNOT, DECISIONS, Answer, Cell, Decision, Effect, Incoming


class Reason(StrEnum):
    """Why a coupon was not used: the `reason` of CouponUseFailed."""

    UNKNOWN_COUPON = "unknown_coupon"
    NOT_OWNER = "not_owner"
    ALREADY_USED = "already_used"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    CURRENCY_MISMATCH = "currency_mismatch"
    BELOW_MINIMUM = "below_minimum"
    NO_DISCOUNT = "no_discount"
    RETRIES_EXHAUSTED = "retries_exhausted"
    ORDER_CANCELED = "order_canceled"


class CouponStatus(StrEnum):
    """EXPIRED is never stored: it is an available coupon whose campaign has ended."""

    AVAILABLE = "AVAILABLE"
    USED = "USED"
    EXPIRED = "EXPIRED"


@dataclass(slots=True)
class Coupon:
    """A locked coupon. `order_id` is the one order that uses it."""

    user_id: UUID
    order_id: UUID | None
    terms: Terms


class Use(NamedTuple):
    """The data of the order that wants to use a coupon. The coupon must be valid at `created_at`."""

    user_id: UUID
    total: Decimal
    currency: str
    created_at: datetime


class Request(NamedTuple):
    """A request of an order about its coupon. Only CREATED has `use`."""

    incoming: Incoming
    order_id: UUID
    coupon_id: UUID
    use: Use | None = None


@dataclass(slots=True)
class OrderDecision:
    """The decision row of an order. None: not decided yet. `coupon_id` comes from the order's first event."""

    coupon_id: UUID
    decision: Decision | None = None
    reason: Reason | None = None
    discount: Decimal | None = None
    currency: str = ""


def answer(request: Request, order: OrderDecision, coupons: Mapping[UUID, Coupon]) -> Answer:
    """Apply `request` to the order's decision and to its coupon in `coupons`; return the answer."""
    cell = DECISIONS[order.decision][request.incoming]
    if cell.effect is Effect.TAKE:
        cell = _take(request, order, coupons.get(order.coupon_id))
    elif cell.effect is Effect.GIVE_BACK:
        _give_back(request.order_id, coupons.get(order.coupon_id))
    elif order.decision is None and cell.decision is Decision.REFUSED:
        order.reason = Reason.RETRIES_EXHAUSTED
    order.decision = cell.decision
    return cell.answer


def _take(request: Request, order: OrderDecision, coupon: Coupon | None) -> Cell:
    if request.use is None:
        raise ValueError(f"order {request.order_id}: OrderCreated without the data of the coupon's use")
    order.reason = find_obstacle(coupon, request.use)
    if order.reason or coupon is None:
        return CANNOT
    coupon.order_id = request.order_id
    order.discount = discount(coupon.terms, request.use.total, request.use.currency)
    order.currency = request.use.currency
    return DECISIONS[None][Incoming.CREATED]


def _give_back(order_id: UUID, coupon: Coupon | None) -> None:
    if (
        coupon is not None and coupon.order_id == order_id
    ):  # otherwise an operator freed it, and another order may use it now
        coupon.order_id = None


def _is_in_its_currency(coupon: Coupon, use: Use) -> bool:
    return use.currency in MINOR_UNITS and coupon.terms.currency in (None, use.currency)


#: The rules for a known coupon, checked in this order.
OBSTACLES: tuple[tuple[Reason, Callable[[Coupon, Use], bool]], ...] = (
    (Reason.NOT_OWNER, lambda coupon, use: coupon.user_id != use.user_id),
    (Reason.ALREADY_USED, lambda coupon, use: coupon.order_id is not None),
    (Reason.NOT_YET_VALID, lambda coupon, use: use.created_at < coupon.terms.valid_from),
    (Reason.EXPIRED, lambda coupon, use: use.created_at >= coupon.terms.valid_until),
    (Reason.CURRENCY_MISMATCH, lambda coupon, use: not _is_in_its_currency(coupon, use)),
    (Reason.BELOW_MINIMUM, lambda coupon, use: use.total < coupon.terms.minimum_order),
    # A coupon that takes nothing off stays with its owner.
    (Reason.NO_DISCOUNT, lambda coupon, use: discount(coupon.terms, use.total, use.currency) == 0),
)


def find_obstacle(coupon: Coupon | None, use: Use) -> Reason | None:
    """Return why the order cannot use the coupon, or None if it can."""
    if coupon is None:
        return Reason.UNKNOWN_COUPON
    return next((reason for reason, stands in OBSTACLES if stands(coupon, use)), None)
