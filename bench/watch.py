"""Waits for the end of a part's sagas, by cheap queries on its own connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from bench.errors import BenchError
from bench.shop import Shop
from config.topology import SERVICES

POLL_SECONDS = 0.01

# While sagas run, the first row of the partial index on running sagas is enough.
_RUNNING = "SELECT EXISTS (SELECT 1 FROM order_app_saga WHERE status = 'RUNNING')"
_ENDS = "SELECT status, count(*) FROM order_app_saga GROUP BY status"
_REASONS = "SELECT reason, count(*) FROM order_app_order WHERE status = 'CANCELED' GROUP BY reason"
_COUNTED = "SELECT count(*) FROM user_app_purchase WHERE state = 'COUNTED'"
_WAITING = "SELECT count(*) FROM messaging_outbox"


@dataclass(frozen=True)
class Ends:
    """When the last saga was COMPLETED, and when all work was done: outboxes empty, purchases counted."""

    completed: float
    at_rest: float


class Watch:
    """One connection to each service's database, open from the start to the end of the run."""

    def __init__(self, shop: Shop, stack: ExitStack, timeout: float) -> None:
        self.timeout = timeout
        self._cursors = {name: stack.enter_context(shop.database(name)) for name in SERVICES}
        self.completed = self.statuses().get("COMPLETED", 0)

    def ended(self, orders: int) -> Ends:
        """Wait for the end of `orders` more sagas. BenchError if they do not end, or not as COMPLETED."""
        self.completed += orders
        until = time.monotonic() + self.timeout
        self._wait(lambda: not self._ask("order", _RUNNING), "sagas that are RUNNING", until)
        completed = time.monotonic()
        self._check()
        self._wait(lambda: self._ask("user", _COUNTED) >= self.completed, "purchases that are not counted", until)
        self._wait(lambda: not any(self._outboxes().values()), "events in an outbox", until)
        return Ends(completed, time.monotonic())

    def statuses(self) -> dict[str, int]:
        """Return how many sagas there are in each status."""
        self._cursors["order"].execute(_ENDS)
        return dict(self._cursors["order"].fetchall())

    def is_confirmed(self, order_id: str) -> bool:
        """Return whether an order is CONFIRMED."""
        self._cursors["order"].execute("SELECT status = 'CONFIRMED' FROM order_app_order WHERE id = %s", [order_id])
        return bool((self._cursors["order"].fetchone() or (False,))[0])

    def _check(self) -> None:
        if self.statuses() != {"COMPLETED": self.completed}:
            self._cursors["order"].execute(_REASONS)
            reasons = dict(self._cursors["order"].fetchall())
            raise BenchError(
                f"{self.completed} sagas should be COMPLETED, but there are {self.statuses()}; canceled for {reasons}."
            )

    def _outboxes(self) -> dict[str, int]:
        return {name: self._ask(name, _WAITING) for name in SERVICES}

    def _ask(self, service: str, query: str) -> int:
        self._cursors[service].execute(query)
        return int((self._cursors[service].fetchone() or (0,))[0])

    def _wait(self, is_so: Callable[[], bool], what: str, until: float) -> None:
        while not is_so():
            if time.monotonic() > until:
                seen: Mapping[str, int] = self.statuses() | {f"{k} outbox": n for k, n in self._outboxes().items()}
                raise BenchError(
                    f"After {self.timeout:.0f} s there are still {what}: {seen}. See the logs of the stack."
                )
            time.sleep(POLL_SECONDS)
