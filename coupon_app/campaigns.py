"""The rules of campaigns: their terms, the value of their coupons, and who gets one. Plain Python."""

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
    """The result of a claim. All but PENDING are final."""

    PENDING = "PENDING"
    GRANTED = "GRANTED"
    SOLD_OUT = "SOLD_OUT"
    LIMIT_REACHED = "LIMIT_REACHED"
    NOT_ACTIVE = "NOT_ACTIVE"


class Terms(NamedTuple):
    """A campaign's conditions. Without a `currency`, and so without a minimum: every currency.

    At `valid_until` it is no longer valid.
    """

    kind: str
    value: Decimal
    currency: str | None
    minimum_order: Decimal
    valid_from: datetime
    valid_until: datetime


class InvalidTerms(ValueError):
    """The terms break a rule. `field` names the one to change; `code` gives the reason for programs."""

    def __init__(self, field: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.code = code


def check_terms(terms: Terms) -> None:
    """Raise InvalidTerms, with what to change, if the terms break a rule."""
    currency = terms.currency
    if currency is not None and currency not in MINOR_UNITS:
        raise InvalidTerms("currency", "unknown_currency", str(UnknownCurrency(currency)))
    if currency is None and (terms.kind == Kind.AMOUNT or terms.minimum_order > 0):
        what = "value" if terms.kind == Kind.AMOUNT else "minimum order"
        raise InvalidTerms("currency", "currency_required", f"Set a currency: the campaign's {what} is an amount.")
    if terms.value <= 0 or (terms.kind == Kind.PERCENT and terms.value > 100):
        raise InvalidTerms("value", "value_out_of_range", "The value must be above 0, and for percent at most 100.")
    for name, amount in (("value", terms.value), ("minimum_order", terms.minimum_order)):
        is_money = name != "value" or terms.kind == Kind.AMOUNT
        if is_money and currency is not None and is_finer(amount, currency):
            raise InvalidTerms(
                name,
                "below_minor_unit",
                f"An amount in {currency} has at most {MINOR_UNITS[currency]} digits after the point.",
            )
    if terms.minimum_order < 0:
        raise InvalidTerms("minimum_order", "negative", "The minimum order must be 0 or more.")
    if terms.valid_from >= terms.valid_until:
        raise InvalidTerms("valid_until", "ends_before_it_begins", "valid_until must be later than valid_from.")


def discount(terms: Terms, total: Decimal, currency: str) -> Decimal:
    """Return what a coupon takes off `total`: rounded half up to the currency's minor unit, never above the total."""
    amount = terms.value if terms.kind == Kind.AMOUNT else total * terms.value / 100
    return min(rounded(amount, currency), rounded(total, currency, ROUND_DOWN))


class Grant(NamedTuple):
    """A coupon that staff grants. The caller chooses `coupon_id`, so a repeated call grants only one."""

    coupon_id: UUID
    campaign_id: UUID
    user_id: UUID
    granted_by: str
    reason: str


@dataclass(slots=True)
class Supply:
    """A campaign's stock of coupons: `granted` of `quantity` are granted."""

    quantity: int
    granted: int
    per_user_limit: int
    valid_from: datetime
    valid_until: datetime


def claim_outcome(supply: Supply, owned: int, requested_at: datetime) -> ClaimStatus:
    """Return the result of a claim whose user already has `owned` coupons of the campaign."""
    if not supply.valid_from <= requested_at < supply.valid_until:
        return ClaimStatus.NOT_ACTIVE
    return grant_obstacle(supply, owned) or ClaimStatus.GRANTED


def grant_obstacle(supply: Supply, owned: int) -> ClaimStatus | None:
    """Return why a user with `owned` coupons gets no further one, or None. It also limits grants by staff."""
    if owned >= supply.per_user_limit:
        return ClaimStatus.LIMIT_REACHED
    if supply.granted >= supply.quantity:
        return ClaimStatus.SOLD_OUT
    return None
