"""The rules of a purchase, and of what others must hear about a user."""

from __future__ import annotations

from enum import StrEnum


class PurchaseState(StrEnum):
    """An order in the purchase history: counted, or canceled for good."""

    COUNTED = "COUNTED"
    CANCELED = "CANCELED"


class Ending(StrEnum):
    """What the order service tells of an order that concerns its buyer's history."""

    CONFIRMED = "CONFIRMED"
    CANCELED = "CANCELED"


#: (state, ending of the order) → state. CANCELED is final: a confirmation that is replayed after it must not count.
NEXT_STATE: dict[tuple[PurchaseState | None, Ending], PurchaseState] = {
    (None, Ending.CONFIRMED): PurchaseState.COUNTED,
    (None, Ending.CANCELED): PurchaseState.CANCELED,
    (PurchaseState.COUNTED, Ending.CONFIRMED): PurchaseState.COUNTED,
    (PurchaseState.COUNTED, Ending.CANCELED): PurchaseState.CANCELED,
    (PurchaseState.CANCELED, Ending.CONFIRMED): PurchaseState.CANCELED,
    (PurchaseState.CANCELED, Ending.CANCELED): PurchaseState.CANCELED,
}


def next_state(state: PurchaseState | None, ending: Ending) -> PurchaseState:
    """Return the state of a purchase in `state` (None: never heard of) after `ending` arrives."""
    return NEXT_STATE[state, ending]
