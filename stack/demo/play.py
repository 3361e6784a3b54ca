"""Plays the scenes and checks their results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from stack.demo.client import wait_until
from stack.demo.scenes import Scene
from stack.demo.shop import Shop
from stack.errors import StackError
from stack.progress import show

REST_SECONDS = 60.0


@dataclass(frozen=True)
class Report:
    """The demo's last line: the orders of this run, and the broken rules of all four databases."""

    orders: int
    confirmed: int
    canceled: int
    unfinished: int
    violations: int

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def exit_code(self) -> int:
        return 0 if self.unfinished == 0 and self.violations == 0 else 1


def play(variables: Mapping[str, str], scenes: Sequence[Scene]) -> Report:
    """Play the scenes against the stack that `variables` (the env file) describe."""
    shop = Shop.open(variables)
    for number, scene in enumerate(scenes, start=1):
        show(f"\n{number}. {(scene.__doc__ or '').splitlines()[0]}")
        scene(shop)
    show("\nThe books of all four databases")
    return _check(shop)


def _check(shop: Shop) -> Report:
    try:
        wait_until(shop.books.is_at_rest, "every order to end", seconds=REST_SECONDS, interval=0.2)
    except StackError as error:
        show(f"  {error}")
    statuses = shop.books.statuses([placed.id for placed in shop.placed])
    broken = [*shop.books.violations(), *_surprises(shop, statuses)]
    for sentence in broken:
        show(f"  VIOLATION {sentence}")
    show("  stock + holds = received; coupons, campaigns and purchases agree with the orders\n" if not broken else "")
    counts = Counter(statuses.values())
    unfinished = shop.books.unfinished()
    return Report(len(statuses), counts["CONFIRMED"], counts["CANCELED"], unfinished, len(broken))


def _surprises(shop: Shop, statuses: Mapping[str, str]) -> list[str]:
    return [
        f"order {placed.id} ({placed.kind}) is {statuses[placed.id]} instead of {placed.expected}"
        for placed in shop.placed
        if statuses[placed.id] != placed.expected
    ]
