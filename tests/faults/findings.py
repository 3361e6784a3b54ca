"""What a checker expects, and what it finds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tests.faults.records import Corrupted

LOST, DOUBLED, OUT_OF_ORDER, UNFINISHED, WRONG = "lost", "doubled", "out_of_order", "unfinished", "wrong"


@dataclass(frozen=True)
class Finding:
    """A broken promise: of which kind, about whom (an order, product, coupon …), and what exactly."""

    kind: str
    subject: str
    sentence: str


@dataclass(frozen=True)
class Expected:
    """The answers that the customers got, and what the test did wrong on purpose.

    `everything`: the orders are all that can exist.
    """

    orders: Collection[str] = ()
    everything: bool = False
    canceled: Collection[str] = ()
    claims: Collection[str] = ()
    usernames: Collection[str] = ()
    corrupted: Collection[Corrupted] = ()

    @property
    def dead(self) -> set[str]:
        """The ids under which the injected records are dead letters: nobody could read one of their own."""
        return {each.place for each in self.corrupted}

    @property
    def parked(self) -> set[tuple[str, str]]:
        """The keys, used by nothing else, that the injected dead letters keep parked."""
        return {(each.topic, each.key) for each in self.corrupted}
