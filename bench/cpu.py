"""CPU seconds by group of processes, read by psutil. A process that has ended counts for its parent."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

from bench.errors import BenchError
from config.topology import SERVICES
from stack import control, services
from stack.layout import Layout
from stack.process import family

Seconds = dict[str, float]
#: The process that places the orders. It does not belong to the stack.
CLIENT = "client"
#: The groups, in the order of the report.
ORDER = (CLIENT, "order web", *(f"{name} worker" for name in SERVICES), "postgres", "kafka", "others")


def groups(layout: Layout) -> dict[str, list[int]]:
    """Return the process ids of each group. BenchError if a process of the stack is not running."""
    found: dict[str, list[int]] = {}
    for name in control.names(layout=layout):
        pid = control.pid(name, layout=layout)
        if pid == 0:
            raise BenchError(f"{name} is not running, so the result would not be for the whole system; see its log.")
        found.setdefault(_group(name), []).append(pid)
    return found


def _group(name: str) -> str:
    for service in SERVICES.values():
        if name in [services.worker_name(group) for group in service.groups]:
            return f"{service.name} worker"
    if name == services.web_name(SERVICES["order"]):
        return "order web"
    if name.startswith("postgres-"):
        return "postgres"
    return "kafka" if name.startswith("kafka") else "others"


def used(pids: Mapping[str, list[int]]) -> Seconds:
    """Return the CPU seconds that each group has used since its start."""
    return {group: sum(_of_family(pid) for pid in members) for group, members in pids.items()}


def _of_family(pid: int) -> float:
    try:
        return sum(_of_one(process) for process in family(psutil.Process(pid)))
    except psutil.NoSuchProcess as error:
        raise BenchError(
            f"The process {pid} of the stack ended during the measurement; see the stack's logs."
        ) from error


def _of_one(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def between(before: Seconds, after: Seconds) -> Seconds:
    """Return the CPU seconds of each group between two readings."""
    return {group: after[group] - before[group] for group in after}
