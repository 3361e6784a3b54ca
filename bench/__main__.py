"""`python -m bench`: starts its own stack, measures, prints the result, stops everything."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from typing import Any

from bench import machine
from bench.errors import BenchError
from bench.measure import PARTS, Bench, Measured
from bench.own_stack import Interrupted, end_on_signals, stack_in
from bench.report import Report
from bench.shop import Shop
from bench.watch import Watch
from bench.yardstick import CLIENTS, Yardstick
from config.topology import SERVICES
from stack.demo.books import Books
from stack.errors import StackError
from stack.layout import DEFAULT_DIRECTORY, Layout
from stack.progress import show, tell

WARM_UP = 200


def main() -> int:
    """Run the measurement; return the exit code."""
    arguments = _arguments()
    os.environ.setdefault("STACK_DIR", str(DEFAULT_DIRECTORY / "bench"))
    end_on_signals()
    facts = machine.facts()
    try:
        with stack_in(Layout.current(), attach=arguments.attach) as values, ExitStack() as stack:
            return _run(arguments, facts, _bench(arguments, values, stack))
    except (BenchError, StackError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except Interrupted:
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--orders", type=_orders, default=2000, help="orders in each part of each round (default 2000)")
    parser.add_argument("--rounds", type=int, choices=range(1, 11), default=3, metavar="1..10", help="default 3")
    parser.add_argument(
        "--latency-orders", type=int, choices=range(1001), default=100, metavar="0..1000", help="default 100"
    )
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds that one part may take (default 120)")
    parser.add_argument("--attach", action="store_true", help="measure the running stack in STACK_DIR")
    return parser.parse_args()


def _orders(text: str) -> int:
    count = int(text)
    if not CLIENTS <= count <= 100_000 or count % CLIENTS:
        raise argparse.ArgumentTypeError(f"{count} is not a multiple of {CLIENTS} (the number of clients) up to 100000")
    return count


def _bench(arguments: argparse.Namespace, values: dict[str, str], stack: ExitStack) -> Bench:
    shop = Shop(values).open()
    yardstick = Yardstick(values)
    stack.callback(yardstick.drop)
    yardstick.create(arguments.rounds * arguments.orders + WARM_UP)
    return Bench(Layout.current(), values, shop, Watch(shop, stack, arguments.timeout), yardstick, arguments.timeout)


def _run(arguments: argparse.Namespace, facts: dict[str, Any], bench: Bench) -> int:
    tell("Warming up …")
    for measure in PARTS.values():
        measure(bench, WARM_UP)
    rounds = _rounds(arguments, bench)
    tell(f"Latency of {arguments.latency_orders} orders, one at a time …")
    report = Report(facts, arguments.orders, rounds, bench.latencies(arguments.latency_orders))
    report.show()
    show(f"\nWritten to bench/results/{report.save().name}")
    return _check(Books({name: bench.values[f"{name.upper()}_DATABASE_URL"] for name in SERVICES}))


def _rounds(arguments: argparse.Namespace, bench: Bench) -> dict[str, list[Measured]]:
    """Run the parts in turn, so that other load on the machine affects all of them."""
    rounds: dict[str, list[Measured]] = {part: [] for part in PARTS}
    for number in range(1, arguments.rounds + 1):
        for part, measure in PARTS.items():
            rounds[part].append(measure(bench, arguments.orders))
            tell(f"Round {number} of {arguments.rounds}, {part}: {rounds[part][-1].per_second:.0f} sagas/s")
    return rounds


def _check(books: Books) -> int:
    """Return 1 if a book is violated: speed counts only if no stock and no coupon is lost."""
    violations = books.violations()
    for violation in violations[:10]:
        show(f"VIOLATION {violation}")
    show(f"Violations of the books: {len(violations)}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
