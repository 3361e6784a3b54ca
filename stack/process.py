"""A process of the stack as data, and the recorded processes that still run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from stack.layout import ROOT, Layout, write_private

START_TIME_TOLERANCE_SECONDS = 2.0  # psutil derives it from the boot time, which changes when the clock is set
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A process of the stack. It gets only `environment` and the likes of PATH and HOME."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = str(ROOT)
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    end_with_parent: bool = True

    def launcher(self, layout: Layout) -> list[str]:
        """Return the command that starts this process."""
        return [sys.executable, str(ROOT / "stack" / "launch.py"), str(self.description(layout))]

    def description(self, layout: Layout) -> Path:
        return layout.processes / f"{self.name}.json"

    def write(self, layout: Layout) -> None:
        """Write the description that launch.py reads."""
        spec = asdict(self) | {"stop_signal": f"SIG{self.stop_signal}"}
        write_private(self.description(layout), json.dumps(spec, indent=1))


def recorded(layout: Layout) -> Iterator[psutil.Process]:
    """Yield the recorded processes of this stack that still run, identified by pid and start time."""
    for path in layout.processes.glob("*.pid"):
        record = json.loads(path.read_text() or "{}")
        try:
            process = psutil.Process(record["pid"])
            if abs(process.create_time() - record["started"]) < START_TIME_TOLERANCE_SECONDS:
                yield process
        except (KeyError, psutil.NoSuchProcess):
            path.unlink(missing_ok=True)


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return the process and all its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def stop_recorded(layout: Layout) -> int:
    """Stop the processes of a killed supervisord: SIGTERM, then SIGKILL. Return how many."""
    left = [member for process in recorded(layout) for member in family(process)]
    for process in left:
        _signal(process, "terminate")
    for process in _wait_gone(left):
        _signal(process, "kill")
    _wait_gone(left)
    return len(left)


def _wait_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait for a limited time until the processes end; return those that still run.

    psutil.wait_procs() would also wait for a zombie, which only its parent can remove.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while (alive := [process for process in processes if _is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, method: str) -> None:
    try:
        getattr(process, method)()
    except psutil.NoSuchProcess:
        return
