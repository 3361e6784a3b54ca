"""Amounts in whole minor units of a currency. Plain Python."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

#: Digits after the point, by ISO 4217; a currency that is not here is not sold in.
MINOR_UNITS = {"KRW": 0, "JPY": 0, "VND": 0, "USD": 2, "EUR": 2, "GBP": 2, "CNY": 2, "SGD": 2, "KWD": 3}
_USUAL = 2


def rounded(amount: Decimal, currency: str, rounding: str = ROUND_HALF_UP) -> Decimal:
    """Return `amount` in whole minor units of `currency`, half up unless another `rounding` is asked for."""
    digits = MINOR_UNITS.get(currency, _USUAL)
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=rounding)
