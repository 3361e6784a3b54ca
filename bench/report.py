"""The result as a table for people and as JSON for comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import cpu
from bench.measure import Measured
from stack.progress import show

RESULTS = Path(__file__).with_name("results")
YARDSTICK = "pgbench"


@dataclass(frozen=True)
class Report:
    """All rounds of all parts; latencies in seconds."""

    machine: dict[str, Any]
    orders: int
    rounds: dict[str, list[Measured]]
    latencies: list[float]

    def speed(self, part: str) -> float:
        """Return the median of the rounds, in sagas per second."""
        return median(each.per_second for each in self.rounds[part])

    def ratio(self, part: str) -> float:
        """Return the median over the rounds of the ratio: the part's speed to pgbench's in the same round."""
        pairs = zip(self.rounds[part], self.rounds[YARDSTICK], strict=True)
        return median(ours.per_second / theirs.per_second for ours, theirs in pairs)

    def cpu_ms(self, part: str) -> dict[str, float]:
        """Return each group's CPU milliseconds per saga, the median of the rounds."""
        rounds = [each.cpu_ms for each in self.rounds[part]]
        return {group: median(each[group] for each in rounds) for group in rounds[0]}

    def save(self) -> Path:
        """Write the JSON file and return its path."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        return path

    def as_dict(self) -> dict[str, Any]:
        """Return all results, rounded to the digits that have meaning."""
        parts = {
            part: {
                "sagas_per_second": round(self.speed(part), 1),
                "ratio_to_pgbench": round(self.ratio(part), 3),
                "cpu_ms_per_saga": _rounded(self.cpu_ms(part)),
                "rounds": [_rounded(asdict(each)) for each in rounds],
            }
            for part, rounds in self.rounds.items()
        }
        return {"machine": self.machine, "orders": self.orders, "parts": parts, "latency_ms": self._latency_ms()}

    def _latency_ms(self) -> dict[str, float]:
        if not self.latencies:
            return {}
        found = {"p50": median(self.latencies), "p99": percentile(self.latencies, 99), "worst": max(self.latencies)}
        return {name: round(1000 * seconds, 1) for name, seconds in found.items()} | {"orders": len(self.latencies)}

    def show(self) -> None:
        """Print the tables."""
        facts = self.machine
        show(
            f"\n{facts['cores']} cores, {facts['cpu']}, {facts['memory_gib']} GiB; Python {facts['python']}, "
            f"PostgreSQL {facts['postgres']}; load before the start {facts['load_before']:.1f}"
        )
        _table("Sagas of two-line orders with a coupon, medians", self._speeds())
        _table("CPU milliseconds per saga", self._cpus())
        if self.latencies:
            line = "  ".join(f"{name} {value}" for name, value in self._latency_ms().items())
            show(f"\nFrom 202 to CONFIRMED, one order at a time, ms: {line}")

    def _speeds(self) -> list[list[str]]:
        head = ["", "sagas/s", "to pgbench", "placed in s", "completed in s", "at rest in s", "each round"]
        return [head, *(self._speed_row(part, rounds) for part, rounds in self.rounds.items())]

    def _speed_row(self, part: str, rounds: Sequence[Measured]) -> list[str]:
        times = [median(getattr(each, name) for each in rounds) for name in ("placing", "seconds", "at_rest")]
        each_round = " ".join(f"{each.per_second:.0f}" for each in rounds)
        return [part, f"{self.speed(part):.0f}", f"{self.ratio(part):.2f}", *(f"{s:.2f}" for s in times), each_round]

    def _cpus(self) -> list[list[str]]:
        rows = []
        for part in self.rounds:
            used = self.cpu_ms(part)
            rows.append([part, *(f"{used[group]:.2f}" for group in cpu.ORDER), f"{sum(used.values()):.2f}"])
        return [["", *cpu.ORDER, "all"], *rows]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` of 100 values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(each, 4) if isinstance(each, float) else _inner(each) for name, each in values.items()}


def _inner(value: Any) -> Any:
    return _rounded(value) if isinstance(value, dict) else value


def _table(title: str, rows: list[list[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    show(f"\n{title}")
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        show(f"  {'  '.join(cells)}".rstrip())
