"""`python -m bench.parked`: does a parked key with a thousand events in its queue make other keys slower?

One stack, rounds in turn: with no parked key, and with an order's key parked in the product service. The benchmark
locks the row that the key's head needs, so each retry (every few seconds) waits for that lock. A thousand events of the
key are in its queue. After each round the benchmark releases the lock, and the queue must drain in order.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg2
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from bench import machine
from bench.errors import BenchError
from bench.measure import Bench, Measured
from bench.own_stack import Interrupted, end_on_signals, stack_in
from bench.report import RESULTS
from bench.shop import Shop
from bench.watch import Watch
from bench.yardstick import CLIENTS, Yardstick
from stack.errors import StackError
from stack.layout import DEFAULT_DIRECTORY, Layout
from stack.progress import show, tell

WARM_UP = 400
SIDES = ("normal", "parked")
TOPIC, ANSWERS = "order.events", "product.events"
PARKS = "product"
#: Retries of the head continue until the lock is released, and for a short time after that.
SETTINGS = {"RETRY_DELAYED": "30000", "RETRY_PAUSE_CAP_SECONDS": "5"}
QUEUED = "SELECT count(*) FROM messaging_inbox WHERE key = %s AND raw IS NOT NULL"
PARKED = "SELECT count(*) FROM messaging_parked_key"
ATTEMPTS = "SELECT max(attempts) FROM messaging_inbox WHERE key = %s AND raw IS NOT NULL"
REFUSED = "SELECT count(*) FROM messaging_dead_letter WHERE key = %s"
WAIT_SECONDS = 120.0


def main() -> int:
    """Run the measurement; return the exit code."""
    arguments = _arguments()
    end_on_signals()
    facts = machine.facts()
    try:
        with ExitStack() as stack:
            report = _run(arguments, facts, stack)
    except (BenchError, StackError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except Interrupted:
        return 130
    report.show()
    show(f"\nWritten to bench/results/{report.save().name}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.parked", description=__doc__)
    parser.add_argument("--behind", type=int, default=1000, help="events in the parked key's queue (1000)")
    parser.add_argument("--orders", type=int, default=2000, help=f"in each round, a multiple of {CLIENTS}")
    parser.add_argument(
        "--longer", type=int, default=1, help="factor: this many times more orders while the key is parked (1)"
    )
    parser.add_argument("--rounds", type=int, choices=range(1, 21), default=5, metavar="1..20", help="default 5")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds that one round may take (default 120)")
    return parser.parse_args()


def _run(arguments: argparse.Namespace, facts: dict[str, Any], stack: ExitStack) -> Report:
    layout = Layout(DEFAULT_DIRECTORY / "bench-parked")
    values = stack.enter_context(stack_in(layout, settings=SETTINGS))
    shop = Shop(values).open()
    bench = Bench(layout, values, shop, Watch(shop, stack, arguments.timeout), Yardstick(values), arguments.timeout)
    report = Report(facts, arguments.behind, arguments.orders, arguments.longer)
    tell("Warming up …")
    bench.direct(WARM_UP)
    for number in range(arguments.rounds):
        for side in SIDES if number % 2 == 0 else reversed(SIDES):
            key = ParkedKey(values, shop, arguments.behind) if side == "parked" else None
            report.rounds[side].append(bench.direct(arguments.orders * (arguments.longer if key else 1)))
            tell(f"Round {number + 1}, {side}: {report.rounds[side][-1].per_second:.0f} sagas/s")
            if key:
                report.parked_seconds.append(report.rounds[side][-1].seconds)
                report.attempts.append(key.attempts())
                report.drained.append(key.go_on())
    return report


class ParkedKey:
    """A key that is parked in the product service from now on, with `behind` events in its queue."""

    def __init__(self, values: Mapping[str, str], shop: Shop, behind: int) -> None:
        self.key = str(uuid4())
        self.ids = [str(uuid4()) for _ in range(behind + 1)]
        self._values, self._shop = values, shop
        self._product = shop.product_apart()
        self._lock = psycopg2.connect(values[f"{PARKS.upper()}_DATABASE_URL"])
        with self._lock.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT 1 FROM product_app_product WHERE id = %s FOR UPDATE", [self._product])
        self._write()
        self._wait(PARKS, QUEUED, [self.key], lambda count: count == behind + 1, "the queue to fill")

    def _write(self) -> None:
        """Publish an order and repeat its cancellation many times, as a foreign client may."""
        producer = KafkaProducer(bootstrap_servers=self._values["KAFKA_BOOTSTRAP_SERVERS"].split(","), acks="all")
        line = {"product_id": self._product, "quantity": 1, "unit_price": "1"}
        order = {"order_id": self.key, "user_id": str(uuid4()), "lines": [line], "coupon_id": None}
        created = {**order, "total": "1", "currency": "KRW", "created_at": datetime.now(UTC).isoformat()}
        canceled = {**order, "reason": "bench", "actor": "bench"}
        for number, event_id in enumerate(self.ids):
            kind, data = ("Canceled", canceled) if number else ("Created", created)
            headers = {"ce_id": event_id, "ce_source": "/order", "ce_type": f"order.Order{kind}.v1"}
            pairs = [(name, text.encode()) for name, text in headers.items()]
            producer.send(TOPIC, json.dumps(data).encode(), self.key.encode(), pairs)
        producer.flush(30)
        producer.close(5)

    def attempts(self) -> int:
        """Return the number of attempts at the head."""
        with self._shop.database(PARKS) as cursor:
            return _count(cursor, ATTEMPTS, [self.key])

    def go_on(self) -> float:
        """Release the lock and wait until the queue is empty; return the seconds.

        BenchError if the events did not take effect in order.
        """
        began = time.monotonic()
        self._lock.close()
        self._wait(PARKS, PARKED, [], lambda count: count == 0, "the queue to drain")
        seconds = time.monotonic() - began
        if self._answered() != self.ids:
            raise BenchError("the events of the parked key did not take effect in order")
        # The order service has no such order and refuses each answer. Wait for that before the next round.
        self._wait("order", REFUSED, [self.key], lambda count: count == len(self.ids), "the answers to be refused")
        return seconds

    def _answered(self) -> list[str]:
        """Return the causes of the product service's answers for the key, in the order of the log, each once."""
        consumer = KafkaConsumer(
            bootstrap_servers=self._values["KAFKA_BOOTSTRAP_SERVERS"].split(","),
            group_id=None,
            isolation_level="read_committed",
        )
        places = [TopicPartition(ANSWERS, number) for number in consumer.partitions_for_topic(ANSWERS)]
        consumer.assign(places)
        consumer.seek_to_beginning()
        causes: dict[str, None] = {}
        until = time.monotonic() + WAIT_SECONDS
        while len(causes) < len(self.ids) and time.monotonic() < until:
            for batch in consumer.poll(timeout_ms=500).values():
                mine = [dict(record.headers) for record in batch if record.key == self.key.encode()]
                causes |= {headers["ce_causationid"].decode(): None for headers in mine}
        consumer.close()
        return list(causes)

    def _wait(self, service: str, query: str, parameters: list[str], reached: Any, what: str) -> None:
        until = time.monotonic() + WAIT_SECONDS
        with self._shop.database(service) as cursor:
            while not reached(_count(cursor, query, parameters)):
                if time.monotonic() > until:
                    raise BenchError(f"{service}: after {WAIT_SECONDS:.0f} s the benchmark still waits for {what}")
                time.sleep(0.05)


def _count(cursor: Any, query: str, parameters: list[str]) -> int:
    cursor.execute(query, parameters)
    return int(cursor.fetchone()[0])


@dataclass(frozen=True)
class Report:
    """All rounds; for each parked one its duration, the attempts at its head, and the time to drain its queue."""

    machine: dict[str, Any]
    behind: int
    orders: int
    longer: int
    rounds: dict[str, list[Measured]] = field(default_factory=lambda: {side: [] for side in SIDES})
    parked_seconds: list[float] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    drained: list[float] = field(default_factory=list)

    def speed(self, side: str) -> float:
        """Return the median of the rounds, in sagas per second."""
        return median(each.per_second for each in self.rounds[side])

    def show(self) -> None:
        """Print the results."""
        ratio = self.speed("parked") / self.speed("normal")
        speeds = "  ".join(f"{side} {self.speed(side):.0f}" for side in SIDES)
        show(f"\nSagas per second beside a parked key with {self.behind} events in its queue, medians: {speeds}")
        show(f"  ratio {ratio:.2f}; queues drained in order in {median(self.drained):.1f} s (median)")
        show(f"  parked for {sum(self.parked_seconds):.0f} s in total, {sum(self.attempts)} attempts at the heads")

    def save(self) -> Path:
        """Write the JSON file and return its path."""
        path = RESULTS / f"parked-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
        sides = {
            side: {
                "sagas_per_second": round(self.speed(side), 1),
                "rounds": [round(each.per_second, 1) for each in self.rounds[side]],
            }
            for side in SIDES
        }
        ratio = round(self.speed("parked") / self.speed("normal"), 3)
        drained = [round(each, 1) for each in self.drained]
        facts = {"machine": self.machine, "behind": self.behind, "orders": self.orders, "longer": self.longer}
        facts |= {"attempts": self.attempts, "parked_seconds": [round(each, 1) for each in self.parked_seconds]}
        path.write_text(json.dumps({**facts, "ratio": ratio, **sides, "drained_seconds": drained}, indent=1) + "\n")
        return path


if __name__ == "__main__":
    sys.exit(main())
