"""`python -m tests.faults.soak --orders 10000 --faults 500 --seed 1`: orders over HTTP while everything goes wrong.

Starts a stack of its own, draws what happens from the seed, lets everything heal, waits for rest and checks every
promise. The last line is one JSON object; exit code 0 only when nothing is lost, doubled, out of order or unfinished.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import requests

from stack import control
from stack.layout import DEFAULT_DIRECTORY, ROOT
from stack.progress import tell
from tests.faults import clocks, plan
from tests.faults.checker import SoakChecker
from tests.faults.customers import Goods, Load
from tests.faults.disk import can_mount
from tests.faults.faulty_stack import FaultyStack, faulty_stack
from tests.faults.findings import DOUBLED, LOST, OUT_OF_ORDER, UNFINISHED, Expected, Finding
from tests.faults.injection import DONE, Injector
from tests.faults.plan import Fault
from tests.faults.records import corrupted_in
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.shop import Shelves, Shop
from tests.journeys.waiting import eventually

RESULTS = ROOT / "docs" / "reference" / "soak"
#: Bound, in seconds, of what has to come to rest once the faults are over.
REST_SECONDS = 120.0
#: Longest wait for customers that a busy machine keeps waiting, in seconds.
CUSTOMERS_SECONDS = 900.0
PRODUCTS, SCARCE = 8, 2
#: Most sentences that the last line holds.
SHOWN = 20


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP."""


class Diary:
    """Writes down each fault as it happens, as a line of JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: list[tuple[Fault, str]] = []
        self._began = time.monotonic()
        self._lock = threading.Lock()
        path.write_text("")

    def begin(self) -> None:
        """Let the times count from now."""
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._began

    def note(self, fault: Fault, began: float, outcome: str) -> None:
        """Write down what came of a fault."""
        line = asdict(fault) | {"began": round(began, 2), "ended": round(self.now(), 2), "outcome": outcome}
        with self._lock, self.path.open("a") as file:
            self.outcomes.append((fault, outcome))
            file.write(json.dumps(line) + "\n")

    @property
    def kills(self) -> int:
        return sum(fault.kind in plan.KILLS and outcome == DONE for fault, outcome in self.outcomes)

    def counts(self) -> dict[str, int]:
        """Return how often each kind of fault happened; one whose target was away did not."""
        return dict(Counter(fault.kind for fault, outcome in self.outcomes if not outcome.startswith(("its", "the"))))


Place = Callable[..., AbstractContextManager[FaultyStack]]


def main(arguments: Sequence[str] | None = None, place: Place = faulty_stack) -> int:
    """Run one soak, on the stack that `place` gives, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result file")
    given = parser.parse_args(arguments)
    os.environ.setdefault("STACK_DIR", str(DEFAULT_DIRECTORY / "soak"))
    return soak(given.orders, given.faults, given.seed, given.results, place)


def _main_unless_interrupted() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return main()
    except Interrupted as interrupted:
        tell(f"interrupted by {interrupted}")
        return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number).name)


def soak(orders: int, faults: int, seed: int, results: Path, place: Place = faulty_stack) -> int:
    """Run a soak and write its result; return 0 when every promise was kept."""
    kinds = _possible_kinds(faults)
    planned = plan.draw(seed, faults, kinds)
    tell(f"seed {seed}: {orders} orders and {faults} faults in {planned[-1].at:.0f} s; kinds: {', '.join(kinds)}")
    with place(with_small_disk=plan.DISK in kinds) as stack:
        diary = Diary(stack.layout.directory / f"faults-{seed}.jsonl")
        tell(f"each fault is written to {diary.path}")
        facts = _run(stack, planned, diary, orders, seed)
    result = {"orders": orders, "faults": faults, "kills": diary.kills, **facts, "seed": seed}
    _write(results / f"{seed}-{orders}-{faults}.json", result, diary, kinds)
    sys.stdout.write(json.dumps(result | {"violations": result["violations"][:SHOWN]}) + "\n")
    return 0 if not result["violations"] else 1


def _possible_kinds(faults: int) -> list[str]:
    """Return what this machine can do: a full disk needs root, a clock jump needs libfaketime's library."""
    impossible = set()
    if faults <= plan.BRIEF_FAULTS or not can_mount():
        impossible.add(plan.DISK)
    if not clocks.is_available():
        impossible.add(plan.CLOCK)
    return [kind for kind in plan.WEIGHTS if kind not in impossible]


def _run(stack: FaultyStack, planned: list[Fault], diary: Diary, orders: int, seed: int) -> dict[str, Any]:
    databases, log = Databases(stack.variables), ForeignClient(stack.variables["KAFKA_BOOTSTRAP_SERVERS"])
    with closing(databases), closing(log):
        shop = Shop(stack.variables)
        past = _past(databases, log)
        goods = _goods(Shelves(shop.staff(), databases), orders)
        injector = Injector(stack, seed)
        load = Load(shop, goods, seed, orders, planned[-1].at)
        diary.begin()
        load.start()
        errors = _happen(injector, planned, diary)
        tell("the last fault is over; everything heals")
        healed = time.monotonic()
        stack.heal()
        everybody_knows = load.wait(CUSTOMERS_SECONDS)
        known_seconds = round(time.monotonic() - healed, 1)
        tell(f"every customer knows after {known_seconds} s")
        log.renew()
        _reach_everything(stack, databases, log)
        checker = SoakChecker(databases, log, _expected(load, past, log, injector, everything=everybody_knows))
        _wait_for_rest(checker)
        rest_seconds = round(time.monotonic() - healed, 1)
        tell(f"at rest after {rest_seconds} s; checking")
        violations = [*errors, *_violations_of_api(load, orders, everybody_knows)]
        if rest_seconds > REST_SECONDS:
            violations.append(f"it took {rest_seconds} s to come to rest; {REST_SECONDS:.0f} s are allowed")
        facts = _facts([each for each in checker.findings() if each not in past.findings], violations, rest_seconds)
        return facts | {
            "known_seconds": known_seconds,
            "ended": _ended(databases),
            "answers": dict(load.accepted.answers),
        }


@dataclass(frozen=True)
class Past:
    """What was there before the first order: nothing, on a stack of the soak's own."""

    orders: set[str]
    findings: set[Finding]


def _past(databases: Databases, log: ForeignClient) -> Past:
    orders = {order for (order,) in databases.ask("order", "SELECT id::text FROM order_app_order")}
    return Past(orders, set(SoakChecker(databases, log, Expected()).findings()))


def _expected(load: Load, past: Past, log: ForeignClient, injector: Injector, *, everything: bool) -> Expected:
    accepted = load.accepted
    return Expected(
        orders=past.orders | set(accepted.orders.values()),
        everything=everything,
        canceled=accepted.canceled,
        claims=accepted.claims,
        usernames=accepted.usernames,
        corrupted=[*corrupted_in(log), *injector.gone],
    )


def _goods(shelves: Shelves, orders: int) -> Goods:
    """Put the products on sale: plenty of most, and of the last ones less than will be wanted."""
    products = [shelves.product(orders * 10) for _ in range(PRODUCTS)]
    products += [shelves.product(max(1, orders // 12)) for _ in range(SCARCE)]
    campaign = shelves.campaign(
        kind="amount", value="1000", currency="KRW", quantity=orders // 5, per_user_limit=orders
    )
    return Goods(products, campaign)


def _happen(injector: Injector, planned: list[Fault], diary: Diary) -> list[str]:
    """Let each fault happen at its time; return what went wrong with the faults themselves."""
    with ThreadPoolExecutor(max_workers=2 * plan.MOST) as pool:
        running: list[Future[None]] = []
        for fault in planned:
            time.sleep(max(0.0, fault.at - diary.now()))
            running.append(pool.submit(_one, injector, fault, diary))
    return [f"a fault failed: {error!r}" for future in running if (error := future.exception())]


def _one(injector: Injector, fault: Fault, diary: Diary) -> None:
    began = diary.now()
    outcome = "failed"
    try:
        outcome = injector.inject(fault)
    finally:
        diary.note(fault, began, outcome)


def _reach_everything(stack: FaultyStack, databases: Databases, log: ForeignClient) -> None:
    """Wait until every process runs and every server answers."""
    for name in control.names(layout=stack.layout):
        control.start(name, wait=False, layout=stack.layout)
    for service in databases.urls:
        eventually(lambda: databases.reconnect(service), f"the database of {service}")  # noqa: B023
    eventually(log.answers, "Kafka to answer")


def _wait_for_rest(checker: SoakChecker) -> None:
    """Wait until nothing goes on any more, or until the time for that is over; the checker says what is left."""
    deadline = time.monotonic() + REST_SECONDS
    while checker.unrest() and time.monotonic() < deadline:
        time.sleep(0.5)


def _ended(databases: Databases) -> dict[str, int]:
    """Return how many orders ended in which way."""
    rows = databases.ask("order", "SELECT status, reason, count(*) FROM order_app_order GROUP BY 1, 2 ORDER BY 3 DESC")
    return {f"{status} {reason}".strip(): number for status, reason, number in rows}


def _violations_of_api(load: Load, orders: int, everybody_knows: bool) -> list[str]:
    """Return what the customers complain of."""
    accepted = load.accepted
    found = [f"refused: {sentence}" for sentence in accepted.refused]
    if accepted.answers["500"]:
        found.append(f"{accepted.answers['500']} requests were answered 500")
    if not everybody_knows or len(accepted.orders) != orders:
        found.append(f"of {orders} orders only {len(accepted.orders)} were accepted in the end")
    return found


def _facts(findings: list[Finding], violations: list[str], rest_seconds: float) -> dict[str, Any]:
    kinds = Counter(finding.kind for finding in findings)
    counts = {kind: kinds[kind] for kind in (LOST, DOUBLED, OUT_OF_ORDER, UNFINISHED)}
    sentences = [f"{finding.kind}: {finding.sentence}" for finding in findings]
    return counts | {"rest_seconds": rest_seconds, "violations": violations + sentences}


def _write(path: Path, result: dict[str, Any], diary: Diary, kinds: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": sys.version.split()[0], "requests": requests.__version__}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    more = {"at": when, "possible": kinds, "happened": diary.counts(), "machine": machine}
    path.write_text(json.dumps(result | more, indent=1) + "\n")
    tell(f"the result is in {path}")


if __name__ == "__main__":
    sys.exit(_main_unless_interrupted())
