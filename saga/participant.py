"""How a participant answers an order: every service with a step decides by this table.

A service stores one decision row per order. Each transaction that answers the order inserts or locks this row first.
The answer follows from the row after the event, so it does not depend on how often or in which order the events
arrive. A model checker checked this table with the coordinator's, in all states: change the model first, then the
table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Decision(StrEnum):
    """The decision for an order: one per order. All but HELD are final."""

    HELD = "HELD"
    REFUSED = "REFUSED"
    CANCELED_FIRST = "CANCELED_FIRST"
    RESTORED = "RESTORED"


class Incoming(StrEnum):
    """What requests an answer. It makes no difference whether it is the first, repeated, replayed or late."""

    CREATED = "OrderCreated"
    EXHAUSTED = "retries exhausted on OrderCreated"
    CANCELED = "OrderCanceled"


class Effect(StrEnum):
    """The change of what the participant holds."""

    NOTHING = "nothing"
    TAKE = "take what the order needs"
    GIVE_BACK = "give back exactly what was taken"


class Answer(StrEnum):
    """The event for the order service: the step's success, failure or undo answer."""

    TAKEN = "success, from what is stored"
    REFUSED = "failure(stored reason)"
    CANCELED = "failure(order_canceled)"
    RESTORED = "restored(true)"
    NOT_RESTORED = "restored(false)"


class Cell(NamedTuple):
    """One cell of the table: the decision after the event, the answer, and what is taken or given back."""

    decision: Decision
    answer: Answer
    effect: Effect = Effect.NOTHING


#: decision so far → incoming → what follows
DECISIONS: Mapping[Decision | None, Mapping[Incoming, Cell]] = {
    None: {
        Incoming.CREATED: Cell(Decision.HELD, Answer.TAKEN, Effect.TAKE),
        Incoming.EXHAUSTED: Cell(Decision.REFUSED, Answer.REFUSED),
        Incoming.CANCELED: Cell(Decision.CANCELED_FIRST, Answer.NOT_RESTORED),
    },
    Decision.HELD: {
        Incoming.CREATED: Cell(Decision.HELD, Answer.TAKEN),
        Incoming.EXHAUSTED: Cell(Decision.HELD, Answer.TAKEN),
        Incoming.CANCELED: Cell(Decision.RESTORED, Answer.RESTORED, Effect.GIVE_BACK),
    },
    Decision.REFUSED: {
        Incoming.CREATED: Cell(Decision.REFUSED, Answer.REFUSED),
        Incoming.EXHAUSTED: Cell(Decision.REFUSED, Answer.REFUSED),
        Incoming.CANCELED: Cell(Decision.REFUSED, Answer.NOT_RESTORED),
    },
    Decision.CANCELED_FIRST: {
        Incoming.CREATED: Cell(Decision.CANCELED_FIRST, Answer.CANCELED),
        Incoming.EXHAUSTED: Cell(Decision.CANCELED_FIRST, Answer.CANCELED),
        Incoming.CANCELED: Cell(Decision.CANCELED_FIRST, Answer.NOT_RESTORED),
    },
    Decision.RESTORED: {
        Incoming.CREATED: Cell(Decision.RESTORED, Answer.CANCELED),
        Incoming.EXHAUSTED: Cell(Decision.RESTORED, Answer.CANCELED),
        Incoming.CANCELED: Cell(Decision.RESTORED, Answer.RESTORED),
    },
}
#: Replaces the cell with TAKE if the participant cannot take what the order needs.
CANNOT = Cell(Decision.REFUSED, Answer.REFUSED)
