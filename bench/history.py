"""`python -m bench.history`: do many old rows make the system slower?

Two stacks run at the same time, one with empty tables, one with the rows of a million old orders. They take turns with
the same orders, part by part and round by round, so that other load on the machine affects both.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine, old_rows
from bench.errors import BenchError
from bench.measure import Bench, Measured
from bench.own_stack import Interrupted, end_on_signals, stack_in
from bench.report import RESULTS
from bench.shop import Shop
from bench.watch import Watch
from bench.yardstick import CLIENTS, Yardstick
from config.topology import SERVICES
from stack.errors import StackError
from stack.layout import DEFAULT_DIRECTORY, Layout
from stack.parallel import in_parallel
from stack.progress import show, tell

WARM_UP = 400
SIDES = ("empty", "filled")
PARTS: dict[str, Callable[[Bench, int], Measured]] = {"direct": Bench.direct, "HTTP": Bench.http}

Rounds = dict[str, dict[str, list[Measured]]]


def main() -> int:
    """Run the measurement; return the exit code."""
    arguments = _arguments()
    end_on_signals()
    facts = machine.facts()
    try:
        with ExitStack() as stack:
            benches = {side: _bench(side, arguments.timeout, stack) for side in SIDES}
            _fill(benches["filled"].shop, arguments.old_rows)
            benches["filled"].watch.completed = benches["filled"].watch.statuses()["COMPLETED"]
            report = Report(facts, arguments.old_rows, arguments.orders, _rounds(arguments, benches))
    except (BenchError, StackError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except Interrupted:
        return 130
    report.show()
    show(f"\nWritten to bench/results/{report.save().name}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--old-rows", type=int, default=1_000_000, help="old orders of the filled stack (a million)")
    parser.add_argument("--orders", type=int, default=2000, help=f"in each part of each round, a multiple of {CLIENTS}")
    parser.add_argument("--rounds", type=int, choices=range(1, 21), default=5, metavar="1..20", help="default 5")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: direct and HTTP")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds that one part may take (default 120)")
    return parser.parse_args()


def _bench(side: str, timeout: float, stack: ExitStack) -> Bench:
    layout = Layout(DEFAULT_DIRECTORY / f"bench-{side}")
    values = stack.enter_context(stack_in(layout))
    shop = Shop(values).open()
    return Bench(layout, values, shop, Watch(shop, stack, timeout), Yardstick(values), timeout)


def _fill(shop: Shop, orders: int) -> None:
    tell(f"Filling one stack with the rows of {orders} old orders …")
    in_parallel({service: lambda service=service: _fill_service(shop, service, orders) for service in SERVICES})


def _fill_service(shop: Shop, service: str, orders: int) -> None:
    with shop.database(service) as cursor:
        old_rows.fill(cursor, service, orders)


def _rounds(arguments: argparse.Namespace, benches: dict[str, Bench]) -> Rounds:
    tell("Warming up …")
    for part in arguments.parts:
        for bench in benches.values():
            PARTS[part](bench, WARM_UP)
    rounds: Rounds = {part: {side: [] for side in SIDES} for part in arguments.parts}
    for number in range(arguments.rounds):
        for part in arguments.parts:
            # The side that is first in one round is second in the next.
            for side in SIDES if number % 2 == 0 else reversed(SIDES):
                rounds[part][side].append(PARTS[part](benches[side], arguments.orders))
                tell(f"Round {number + 1}, {part}, {side}: {rounds[part][side][-1].per_second:.0f} sagas/s")
    return rounds


@dataclass(frozen=True)
class Report:
    """All rounds of both sides."""

    machine: dict[str, Any]
    old_orders: int
    orders: int
    rounds: Rounds

    def speed(self, part: str, side: str) -> float:
        """Return the median of the rounds, in sagas per second."""
        return median(each.per_second for each in self.rounds[part][side])

    def ratio(self, part: str) -> float:
        """Return the ratio of the median speeds: filled side to empty side."""
        return self.speed(part, "filled") / self.speed(part, "empty")

    def cpu_ms(self, part: str, side: str) -> float:
        """Return CPU milliseconds per saga of all processes together, the median of the rounds."""
        return median(sum(each.cpu_ms.values()) for each in self.rounds[part][side])

    def show(self) -> None:
        """Print a line for each part."""
        show(f"\nSagas per second with {self.old_orders} old orders and with none, medians of alternating rounds")
        for part in self.rounds:
            speeds = "  ".join(f"{side} {self.speed(part, side):.0f}" for side in SIDES)
            cpus = "  ".join(f"{side} {self.cpu_ms(part, side):.2f}" for side in SIDES)
            show(f"  {part:8} {speeds}  ratio {self.ratio(part):.2f}   CPU ms per saga: {cpus}")

    def save(self) -> Path:
        """Write the JSON file and return its path."""
        path = RESULTS / f"history-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        return path

    def as_dict(self) -> dict[str, Any]:
        """Return all results."""
        return {
            "machine": self.machine,
            "old_orders": self.old_orders,
            "orders": self.orders,
            "parts": {part: self._part(part) for part in self.rounds},
        }

    def _part(self, part: str) -> dict[str, Any]:
        sides = {
            side: {
                "sagas_per_second": round(self.speed(part, side), 1),
                "cpu_ms_per_saga": round(self.cpu_ms(part, side), 3),
                "rounds": [_rounded(each) for each in rounds],
            }
            for side, rounds in self.rounds[part].items()
        }
        return {"ratio": round(self.ratio(part), 3), **sides}


def _rounded(measured: Measured) -> dict[str, float]:
    values = {**asdict(measured), "cpu": sum(measured.cpu.values())}
    return {name: round(value, 3) for name, value in values.items()}


if __name__ == "__main__":
    sys.exit(main())
