"""What coupons are worth, which terms can be, and who gets a coupon."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupon_app.campaigns import (
    ClaimStatus,
    InvalidTerms,
    Supply,
    check_terms,
    claim_outcome,
    discount,
)
from money import MINOR_UNITS, UnknownCurrency
from tests.coupon.given import NOW, terms

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("kind", "value", "total", "currency", "worth"),
    [
        ("percent", "10", "10000", "KRW", "1000"),
        ("percent", "15", "9990", "KRW", "1499"),  # 1498.5: half goes up
        ("percent", "15", "9989", "KRW", "1498"),  # 1498.35
        ("percent", "2.5", "0.20", "USD", "0.01"),  # 0.005: half goes up, also below one unit
        ("percent", "12.5", "10.01", "USD", "1.25"),  # 1.25125
        ("percent", "33.333", "1.000", "KWD", "0.333"),
        ("percent", "100", "19.99", "USD", "19.99"),
        ("amount", "3000", "10000", "KRW", "3000"),
        ("amount", "3000", "2999", "KRW", "2999"),
        ("amount", "5", "0", "USD", "0"),
        ("percent", "50", "1", "KRW", "1"),  # 0.5 goes up to all of it
        ("percent", "100", "10.006", "USD", "10.00"),  # a total finer than its currency is never exceeded
    ],
)
def test_a_discount_is_rounded_half_up_and_never_above_the_total(kind, value, total, currency, worth):
    assert discount(terms(kind=kind, value=Decimal(value)), Decimal(total), currency) == Decimal(worth)


@given(
    kind=st.sampled_from(["percent", "amount"]),
    value=st.decimals(min_value="0.01", max_value=100, places=2),
    total=st.decimals(min_value=0, max_value=10**9, places=3),
    currency=st.sampled_from(list(MINOR_UNITS)),
)
def test_a_discount_is_whole_minor_units_between_zero_and_the_total(kind, value, total, currency):
    worth = discount(terms(kind=kind, value=value), total, currency)
    assert 0 <= worth <= total
    assert worth == worth.quantize(Decimal(1).scaleb(-MINOR_UNITS[currency]))


@pytest.mark.parametrize("kind", ["percent", "amount"])
def test_there_is_no_discount_in_a_currency_whose_minor_unit_nobody_knows(kind):
    with pytest.raises(UnknownCurrency, match="XXX"):
        discount(terms(kind=kind), Decimal(100), "XXX")


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"currency": "XXX"}, "currency", "unknown_currency"),
        ({"currency": "krw"}, "currency", "unknown_currency"),
        ({"kind": "amount"}, "currency", "currency_required"),
        ({"minimum_order": Decimal("0.01")}, "currency", "currency_required"),
        ({"value": Decimal(0)}, "value", "value_out_of_range"),
        ({"value": Decimal("100.0001")}, "value", "value_out_of_range"),
        ({"kind": "amount", "currency": "KRW", "value": Decimal("0.5")}, "value", "below_minor_unit"),
        ({"currency": "USD", "minimum_order": Decimal("0.005")}, "minimum_order", "below_minor_unit"),
        ({"minimum_order": Decimal(-1)}, "minimum_order", "negative"),
        ({"valid_until": NOW - DAY}, "valid_until", "ends_before_it_begins"),
    ],
)
def test_terms_that_cannot_be_are_refused_with_the_field_to_change(changes, field, code):
    with pytest.raises(InvalidTerms) as caught:
        check_terms(terms(**changes))
    assert (caught.value.field, caught.value.code) == (field, code)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"value": Decimal(100)},
        {"value": Decimal("0.0001")},
        {"kind": "amount", "currency": "USD", "value": Decimal("1000.01")},
        {"currency": "USD", "value": Decimal("12.345"), "minimum_order": Decimal("0.01")},
    ],
)
def test_sensible_terms_are_accepted(changes):
    check_terms(terms(**changes))


def a_supply(*, quantity: int = 2, granted: int = 0, per_user_limit: int = 1) -> Supply:
    return Supply(quantity, granted, per_user_limit, NOW - DAY, NOW + DAY)


@pytest.mark.parametrize(
    ("supply", "owned", "at", "outcome"),
    [
        (a_supply(), 0, NOW, ClaimStatus.GRANTED),
        (a_supply(granted=1), 0, NOW, ClaimStatus.GRANTED),
        (a_supply(granted=2), 0, NOW, ClaimStatus.SOLD_OUT),
        (a_supply(granted=2), 1, NOW, ClaimStatus.LIMIT_REACHED),
        (a_supply(per_user_limit=2), 1, NOW, ClaimStatus.GRANTED),
        (a_supply(), 0, NOW - DAY, ClaimStatus.GRANTED),
        (a_supply(), 0, NOW - DAY - timedelta(seconds=1), ClaimStatus.NOT_ACTIVE),
        (a_supply(), 0, NOW + DAY, ClaimStatus.NOT_ACTIVE),
        (a_supply(granted=2), 1, NOW + DAY, ClaimStatus.NOT_ACTIVE),
    ],
)
def test_a_claim_ends_as(supply, owned, at, outcome):
    assert claim_outcome(supply, owned, at) is outcome
