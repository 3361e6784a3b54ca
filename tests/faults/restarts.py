"""Processes of the running stack, restarted with a mutation in them."""

from __future__ import annotations

import json
from pathlib import Path

from stack import control
from stack.errors import StackError
from stack.layout import Layout
from stack.process import Process
from tests.faults import crash_points
from tests.faults.start import NO_MUTATION, started_here


class Mutants:
    """Knows which processes run with a mutation. Each keeps it until it is given another one: a start takes seconds."""

    def __init__(self, armed: Path) -> None:
        self._armed = armed
        self._mutations: dict[str, str] = {}

    def run(self, name: str, mutation: str = NO_MUTATION) -> None:
        """Let a process of the stack run with this mutation, or with none."""
        crash_points.disarm(self._armed, name)
        if self._mutations.get(name, NO_MUTATION) == mutation:
            return
        self._mutations[name] = mutation
        _wake(name)
        control.stop(name)
        started_here(_described(name), mutation).write(Layout.current())
        control.start(name)

    def heal(self) -> None:
        """Let every process run without a mutation again."""
        for name in self._mutations:
            self.run(name)


def _described(name: str) -> Process:
    spec = json.loads((Layout.current().processes / f"{name}.json").read_text())
    return Process(**spec | {"stop_signal": spec["stop_signal"].removeprefix("SIG")})


def _wake(name: str) -> None:
    """A frozen process would not hear that it is to stop."""
    try:
        control.kill(name, "SIGCONT")
    except StackError:
        return
