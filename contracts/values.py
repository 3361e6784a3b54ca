"""The allowed values in events. A record with another value is refused when it is read, before any handler gets it.

The bounds are wider than what publishers send, and narrower than what every service can store and calculate with.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

#: Amounts are below MAX_AMOUNT units of their currency, with at most MAX_DECIMALS digits after the point.
MAX_AMOUNT = Decimal(10) ** 15
MAX_DECIMALS = 4

#: A whole number of pieces, 1 or more.
Pieces = Annotated[int, Meta(ge=1, le=1_000_000_000)]
#: Grows with every change.
Version = Annotated[int, Meta(ge=0, le=2**63 - 1)]
#: ISO 4217.
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
#: A code for programs.
Reason = Annotated[str, Meta(max_length=200)]
#: A name or a sentence for people.
Text = Annotated[str, Meta(max_length=2000)]
#: A point in time with its zone.
Moment = Annotated[datetime, Meta(tz=True)]


def check_amounts(*amounts: Decimal | None) -> None:
    """Raise ValueError unless each is None, or a finite number from 0 up to below MAX_AMOUNT."""
    for amount in amounts:
        if amount is not None and not _is_amount(amount):
            raise ValueError(
                f"an amount must be finite, from 0 to below {MAX_AMOUNT:.0f}, "
                f"with at most {MAX_DECIMALS} digits after the point"
            )


def _is_amount(amount: Decimal) -> bool:
    if not amount.is_finite() or not 0 <= amount < MAX_AMOUNT:
        return False
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -MAX_DECIMALS
