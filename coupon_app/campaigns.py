"""What a campaign offers: its terms, what its coupons are worth, and who gets one. Plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from money import MINOR_UNITS, UnknownCurrency, is_finer, rounded


class Kind(StrEnum):
    """How a campaign's `value` is read: percent of the order's total, or an amount of money."""

    PERCENT = "percent"
    AMOUNT = "amount"


class ClaimStatus(StrEnum):
    """What became of a claim. All but PENDING are final."""

    PENDING = "PENDING"
    GRANTED = "GRANTED"
    SOLD_OUT = "SOLD_OUT"
    LIMIT_REACHED = "LIMIT_REACHED"
    NOT_ACTIVE = "NOT_ACTIVE"


class Terms(NamedTuple):
    """A campaign's conditions. No `currency`: any. `valid_until` is the first moment that is too late."""

    kind: str
    value: Decimal
    currency: str | None
    minimum_order: Decimal
    valid_from: datetime
    valid_until: datetime


class InvalidTerms(ValueError):
    """Terms that can't be; `field` is the one to change, `code` says why for programs."""

    def __init__(self, field: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.code = code


def check_terms(terms: Terms) -> None:
    """Raise InvalidTerms, saying what to change, unless a campaign can have these terms."""
    currency = terms.currency
    if currency is not None and currency not in MINOR_UNITS:
        raise InvalidTerms("currency", "unknown_currency", str(UnknownCurrency(currency)))
    if terms.kind == Kind.AMOUNT and currency is None:
        raise InvalidTerms("currency", "currency_required", "An amount needs its currency.")
    if terms.value <= 0 or (terms.kind == Kind.PERCENT and terms.value > 100):
        raise InvalidTerms("value", "value_out_of_range", "More than 0, and at most 100 if it is percent.")
    for name, amount in (("value", terms.value), ("minimum_order", terms.minimum_order)):
        is_money = name != "value" or terms.kind == Kind.AMOUNT
        if is_money and currency is not None and is_finer(amount, currency):
            raise InvalidTerms(
                name, "below_minor_unit", f"{currency} has {MINOR_UNITS[currency]} digits after the point."
            )
    if terms.minimum_order < 0:
        raise InvalidTerms("minimum_order", "negative", "Zero or more.")
    if terms.valid_from >= terms.valid_until:
        raise InvalidTerms("valid_until", "ends_before_it_begins", "It must be later than valid_from.")


def discount(terms: Terms, total: Decimal, currency: str) -> Decimal:
    """Return what a coupon takes off `total`: rounded half up to the currency's minor unit, never above the total."""
    amount = terms.value if terms.kind == Kind.AMOUNT else total * terms.value / 100
    return min(rounded(amount, currency), rounded(total, currency, ROUND_DOWN))


class Grant(NamedTuple):
    """A coupon that staff gives. The caller makes `coupon_id`, so that a repeated call grants once."""

    coupon_id: UUID
    campaign_id: UUID
    user_id: UUID
    granted_by: str
    reason: str


@dataclass(slots=True)
class Supply:
    """What a campaign has to give: `granted` of `quantity` coupons are gone."""

    quantity: int
    granted: int
    per_user_limit: int
    valid_from: datetime
    valid_until: datetime


def claim_outcome(supply: Supply, owned: int, requested_at: datetime) -> ClaimStatus:
    """Return what becomes of the claim of a user who has `owned` coupons of the campaign."""
    if not supply.valid_from <= requested_at < supply.valid_until:
        return ClaimStatus.NOT_ACTIVE
    return grant_obstacle(supply, owned) or ClaimStatus.GRANTED


def grant_obstacle(supply: Supply, owned: int) -> ClaimStatus | None:
    """Return why a user who has `owned` coupons gets no further one, or None. Staff's grants are bound by it too."""
    if owned >= supply.per_user_limit:
        return ClaimStatus.LIMIT_REACHED
    if supply.granted >= supply.quantity:
        return ClaimStatus.SOLD_OUT
    return None
