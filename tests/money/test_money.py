"""The currencies of every service, against ISO's own table; and how amounts are rounded."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from math import floor

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.values import MAX_DECIMALS
from money import MINOR_UNITS, UnknownCurrency, fits, is_finer, rounded, stored

ENTRIES = {entry.findtext("Ccy"): entry.findtext("CcyMnrUnts") for entry in iso4217.raw_xml.iter("CcyNtry")}
WITHOUT_MINOR_UNIT = sorted(code for code, units in ENTRIES.items() if code and units == "N.A.")

AMOUNTS = st.decimals(min_value=-(10**15), max_value=10**15, places=6)
CODES = st.sampled_from(sorted(MINOR_UNITS))


def test_every_code_has_the_minor_unit_of_isos_list():
    expected = {code: int(units) for code, units in ENTRIES.items() if code and units and units != "N.A."}

    assert dict(MINOR_UNITS) == expected
    assert len(expected) > 150


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("KRW", 0), ("JPY", 0), ("ISK", 0), ("UGX", 0), ("USD", 2), ("EUR", 2), ("HUF", 2), ("IDR", 2), ("BHD", 3),
     ("KWD", 3), ("IQD", 3), ("CLF", 4), ("UYW", 4)],
)  # fmt: skip
def test_minor_units_that_other_tables_have_wrong_or_leave_out(currency, digits):
    assert MINOR_UNITS[currency] == digits


def test_every_amount_of_every_currency_fits_into_an_event():
    assert max(MINOR_UNITS.values()) <= MAX_DECIMALS


@pytest.mark.parametrize("currency", [*WITHOUT_MINOR_UNIT, "", "krw", "US", "USDT", "DEM", "XYZ"])
def test_a_code_without_a_minor_unit_is_refused_by_name(currency):
    assert {"XAU", "XXX", "XTS"} <= set(WITHOUT_MINOR_UNIT)
    for refuse in (rounded, is_finer):
        with pytest.raises(UnknownCurrency, match=f'"{currency}" is not an ISO 4217 currency'):
            refuse(Decimal(1), currency)


@given(amount=AMOUNTS, currency=CODES)
def test_an_amount_goes_to_the_nearest_minor_unit_and_half_goes_up(amount, currency):
    scale = 10 ** MINOR_UNITS[currency]
    # In exact fractions, without a word of decimal's.
    nearest = floor(abs(Fraction(amount)) * scale + Fraction(1, 2))

    assert abs(Fraction(rounded(amount, currency))) * scale == nearest
    assert rounded(amount, currency) * amount >= 0


@given(amount=AMOUNTS, currency=CODES)
def test_a_rounded_amount_has_its_currencys_digits_and_stays(amount, currency):
    once = rounded(amount, currency)

    assert once.as_tuple().exponent == -MINOR_UNITS[currency]
    assert (rounded(once, currency), stored(once, currency), is_finer(once, currency)) == (once, once, False)
    assert is_finer(amount, currency) == (once != amount)


def test_another_rounding_can_be_asked_for():
    assert rounded(Decimal("10.009"), "USD", ROUND_DOWN) == Decimal("10.00")


def test_a_stored_amount_of_a_withdrawn_currency_stays_as_it_is():
    assert str(stored(Decimal("12.5000"), "KRW")) == "13"
    assert str(stored(Decimal("12.5000"), "DEM")) == "12.5000"


def test_an_amount_fits_its_currency_and_any_withdrawn_one():
    found = [fits(Decimal(amount), currency) for amount, currency in (("12", "KRW"), ("12.5", "KRW"), ("12.5", "DEM"))]
    assert found == [True, False, True]
