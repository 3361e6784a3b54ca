"""The rules of a purchase, and of the changes of a user that other services need."""

from __future__ import annotations

from enum import StrEnum


class PurchaseState(StrEnum):
    """An order in the purchase history: counted, or canceled for good."""

    COUNTED = "COUNTED"
    CANCELED = "CANCELED"


class Ending(StrEnum):
    """What the order service publishes about an order that changes its buyer's history."""

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
    """Return the state of a purchase in `state` (None: unknown so far) after `ending` arrives."""
    return NEXT_STATE[state, ending]
