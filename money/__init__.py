"""Currencies and amounts: the one table of minor units, and how an amount is rounded. Plain Python, for every service.

The table is that of ISO 4217, from the package `iso4217` (docs/decisions/0018-one-currency-table.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType

from iso4217 import Currency

#: Digits after the point, by code. It has no codes without a minor unit (XAU, XXX): they are not for payments.
MINOR_UNITS: Mapping[str, int] = MappingProxyType(
    {each.code: each.exponent for each in sorted(Currency, key=lambda each: each.code) if each.exponent is not None}
)
_SMALLEST = {code: Decimal(1).scaleb(-digits) for code, digits in MINOR_UNITS.items()}


class UnknownCurrency(ValueError):
    """ISO 4217 has no such code, or the code has no minor unit."""

    def __init__(self, currency: str) -> None:
        super().__init__(f'"{currency}" is not an ISO 4217 currency with a minor unit; use a code like "KRW" or "USD".')
        self.currency = currency


def rounded(amount: Decimal, currency: str, rounding: str = ROUND_HALF_UP) -> Decimal:
    """Return `amount` in whole minor units of `currency`, half up unless `rounding` says otherwise.

    UnknownCurrency for a code that is not in MINOR_UNITS.
    """
    try:
        return amount.quantize(_SMALLEST[currency], rounding=rounding)
    except KeyError:
        raise UnknownCurrency(currency) from None


def is_finer(amount: Decimal, currency: str) -> bool:
    """Return whether `amount` has a part below the minor unit of `currency`; UnknownCurrency."""
    return amount != rounded(amount, currency)


def fits(amount: Decimal, currency: str) -> bool:
    """Return whether `amount` is of whole minor units. Of a currency that ISO has withdrawn, every amount is."""
    return currency not in _SMALLEST or not is_finer(amount, currency)


def stored(amount: Decimal, currency: str) -> Decimal:
    """Return a stored amount with the digits of its currency.

    It was checked before it was stored. If ISO has withdrawn the currency since then, the amount stays as it is, so
    that an old order can still be shown and canceled.
    """
    return rounded(amount, currency) if currency in _SMALLEST else amount
