"""Customers who go on ordering while something happens to the system."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

import requests

from tests.journeys.waiting import eventually


class Crowd:
    """Places an order every `interval` seconds from a thread of its own, for as long as the with block lasts."""

    def __init__(self, place: Callable[[], requests.Response], interval: float) -> None:
        self.orders: list[str] = []
        self.refused: list[str] = []
        self.slowest = 0.0
        self._place = place
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            try:
                answer = self._place()
            except requests.RequestException as error:
                self.refused.append(repr(error))
                continue
            self.slowest = max(self.slowest, answer.elapsed.total_seconds())
            if answer.status_code == 202:
                self.orders.append(answer.json()["id"])
            else:
                self.refused.append(f"{answer.status_code}: {answer.text}")

    def wait_for(self, number: int) -> None:
        """Wait until so many more orders were accepted."""
        target = len(self.orders) + number
        eventually(lambda: len(self.orders) >= target, f"{target} orders", state=lambda: self.refused[-3:])

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
