"""The parts of a run: each is timed from its first order to its last saga, with the CPU seconds of every group."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench import cpu
from bench.cpu import Seconds
from bench.http_clients import Client
from bench.load import placed
from bench.shop import Shop, Wanted
from bench.watch import Watch
from bench.yardstick import Yardstick
from config.topology import SERVICES
from stack import environment
from stack.layout import Layout

BATCH = 100
REST_SECONDS = 0.1
LATENCY_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Measured:
    """One run of one part. Seconds until all orders were placed, all sagas COMPLETED, and all work was done."""

    sagas: int
    placing: float
    seconds: float
    at_rest: float
    cpu: Seconds

    @property
    def per_second(self) -> float:
        """Sagas COMPLETED per second."""
        return self.sagas / self.seconds

    @property
    def cpu_ms(self) -> Seconds:
        """CPU milliseconds per saga of each group."""
        return {group: 1000 * seconds / self.sagas for group, seconds in self.cpu.items()}


@dataclass
class Bench:
    """The data that the parts share."""

    layout: Layout
    values: Mapping[str, str]
    shop: Shop
    watch: Watch
    yardstick: Yardstick
    timeout: float

    def pgbench(self, orders: int) -> Measured:
        """Run the sagas by pgbench."""
        pids = cpu.groups(self.layout)
        before = cpu.used(pids)
        result = self.yardstick.run(orders, self.timeout)
        used = cpu.between(before, cpu.used(pids)) | {cpu.CLIENT: result.cpu}
        return Measured(result.sagas, result.seconds, result.seconds, result.seconds, used)

    def direct(self, orders: int) -> Measured:
        """Place the orders through the order service's code, 100 in a transaction."""
        return self._direct(orders, BATCH)

    def direct_single(self, orders: int) -> Measured:
        """Place the orders in the same way, with one transaction for each order."""
        return self._direct(orders, 1)

    def http(self, orders: int) -> Measured:
        """Place the orders by POST /orders, with 8 clients and keep-alive connections."""
        tokens = {customer.id: customer.sign_in().token for customer in self.shop.customers}
        task = {"address": self._address(), "tokens": tokens, "orders": self._wanted(orders)}
        return self._placed("bench.http_clients", task, {})

    def _direct(self, orders: int, batch: int) -> Measured:
        own = environment.for_service(SERVICES["order"], self.values, {})
        return self._placed("bench.direct", {"batch": batch, "orders": self._wanted(orders)}, own)

    def _wanted(self, orders: int) -> list[dict[str, Any]]:
        return [wanted.as_dict() for wanted in self.shop.orders(orders)]

    def _address(self) -> str:
        return self.values["ORDER_URL"].removeprefix("http://")

    def _placed(self, module: str, task: Mapping[str, Any], own: Mapping[str, str]) -> Measured:
        pids, orders = cpu.groups(self.layout), len(task["orders"])
        before = cpu.used(pids)
        with placed(module, task, own, self.timeout) as placing:
            ends = self.watch.ended(orders)
            used = cpu.between(before, cpu.used(pids)) | {cpu.CLIENT: placing.cpu}
        begin = placing.started
        return Measured(orders, placing.ended - begin, ends.completed - begin, ends.at_rest - begin, used)

    def latencies(self, orders: int) -> list[float]:
        """Return the seconds from 202 to CONFIRMED of each order, placed one at a time on an idle stack."""
        customer = self.shop.customers[0].sign_in()
        client = Client(self._address(), customer.token)
        own = self.shop.orders(orders, [customer])
        found = [self._latency(client, wanted) for wanted in own]
        self.watch.ended(len(own))
        return found

    def _latency(self, client: Client, wanted: Wanted) -> float:
        time.sleep(REST_SECONDS)
        order_id = client.place(wanted.as_dict())
        begin = time.monotonic()
        while not self.watch.is_confirmed(order_id) and time.monotonic() < begin + LATENCY_TIMEOUT_SECONDS:
            time.sleep(0.001)
        return time.monotonic() - begin


PARTS: dict[str, Callable[[Bench, int], Measured]] = {
    "pgbench": Bench.pgbench,
    "direct": Bench.direct,
    "direct, one a transaction": Bench.direct_single,
    "HTTP": Bench.http,
}
