"""The plans of the statements that are really run: each is explained, with its parameters, just before it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from bench import old_rows

#: Orders of the first and of the second filling; a table of more rows than GROWN is a big one.
FEW, MANY = 5_000, 100_000
GROWN = 50_000
#: How much dearer a statement may be over twenty times the rows, as the planner reckons: an index grows by a level and
#: spreads over more pages, but one that is read from end to end costs twenty times as much.
DEARER = 8
EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")

Node = tuple[str, str, str]


@dataclass
class Plans:
    """For each statement, in the order of their first run: how its tables are reached (node, table, index).

    `costs` are the planner's, the highest of each statement.
    """

    of: dict[str, set[Node]] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Explain a statement, then run it: this is what Django's execute_wrapper calls."""
        if not many and sql.lstrip().upper().startswith(EXPLAINED):
            cursor = context["connection"].cursor().cursor
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            plan = cursor.fetchone()[0]
            plan = json.loads(plan) if isinstance(plan, str) else plan
            self.of.setdefault(sql, set()).update(_nodes(plan[0]["Plan"]))
            self.costs[sql] = max(self.costs.get(sql, 0.0), plan[0]["Plan"]["Total Cost"])
        return execute(sql, params, many, context)

    def read_whole(self, tables: set[str]) -> list[str]:
        """Return the statements that read one of these tables from end to end."""
        return [
            f"{kind} on {table}: {sql}"
            for sql, nodes in self.of.items()
            for kind, table, _ in nodes
            if kind == "Seq Scan" and table in tables
        ]

    def differences(self, before: Plans, tables: set[str]) -> list[str]:
        """Return the statements that reach one of these tables otherwise than before, or only one of the two times."""
        every = [*before.of, *(sql for sql in self.of if sql not in before.of)]
        pairs = [(sql, before._reaches(sql, tables), self._reaches(sql, tables)) for sql in every]
        return [f"{sorted(then)} → {sorted(now)}: {sql}" for sql, then, now in pairs if then != now]

    def _reaches(self, sql: str, tables: set[str]) -> set[Node]:
        return {node for node in self.of.get(sql, ()) if node[1] in tables}

    def dearer(self, before: Plans) -> list[str]:
        """Return the statements whose cost has grown with the tables."""
        both = [(sql, before.costs[sql], cost) for sql, cost in self.costs.items() if sql in before.costs]
        return [f"{then:.0f} → {now:.0f}: {sql}" for sql, then, now in both if now > DEARER * then]


def _nodes(plan: dict[str, Any], above: str = "") -> Iterator[Node]:
    """Yield the scans of a plan; a bitmap's index names no table, so it has the one `above` it."""
    table = plan.get("Relation Name", above)
    if "Scan" in plan["Node Type"] and plan["Node Type"] not in ("Function Scan", "Subquery Scan", "CTE Scan"):
        yield plan["Node Type"], table, plan.get("Index Name", "")
    for arbiter in plan.get("Conflict Arbiter Indexes", ()):
        yield "Conflict Arbiter", table, arbiter
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner, table)


@contextmanager
def explained() -> Iterator[Plans]:
    """Collect the plans of what this connection runs in a with block."""
    plans = Plans()
    with connection.execute_wrapper(plans):
        yield plans


def fill(service: str, orders: int) -> None:
    """Give the service a past of so many orders, and statistics that know of it."""
    with connection.cursor() as cursor:
        old_rows.fill(cursor, service, orders)


@contextmanager
def no_autovacuum(tables: set[str]) -> Iterator[None]:
    """Keep the statistics of these tables as they were gathered, for a with block."""
    try:
        _alter(tables, "SET (autovacuum_enabled = off)")
        yield
    finally:
        _alter(tables, "RESET (autovacuum_enabled)")


def _alter(tables: set[str], change: str) -> None:
    with connection.cursor() as cursor:
        for table in sorted(tables):
            cursor.execute(f"ALTER TABLE {table} {change}")


def big_tables() -> set[str]:
    """Return the tables that have many rows, by the statistics that the planner goes by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > %s", [GROWN])
        return {row[0] for row in cursor.fetchall()}


def same_plans_on_old_rows(
    service: str, hot_path: Callable[[], Any], tables: set[str], full_batches: Callable[[], Any] = lambda: None
) -> None:
    """Assert that the hot path reaches its tables the same way, at the same cost, over a short past and a long one.

    `tables` are those that grow; each must have grown, and none is read from end to end, by full batches neither (over
    the short past they are: there a batch is as large as a table).
    """
    with no_autovacuum(tables):
        fill(service, FEW)
        with explained() as before:
            hot_path()
        fill(service, MANY)
        with explained() as after:
            hot_path()
        small = tables - big_tables()
        assert not small, f"not filled: {small}"
        with explained() as full:
            full_batches()
    found = [
        *after.read_whole(tables),
        *full.read_whole(tables),
        *after.differences(before, tables),
        *after.dearer(before),
    ]
    assert not found, "\n".join(found)
