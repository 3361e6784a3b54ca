"""A process of the running stack, restarted for a while with crash points and maybe a mutation in it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import control
from stack.errors import StackError
from stack.layout import Layout, write_private
from stack.process import Process
from tests.faults import crash_points
from tests.faults.start import NO_MUTATION, started_here


@contextmanager
def running_as(name: str, armed: Path, mutation: str = NO_MUTATION) -> Iterator[None]:
    """Run a process of the stack so for the with block; files in `armed` arm its crash points."""
    layout = Layout.current()
    description = layout.processes / f"{name}.json"
    before = description.read_text()
    try:
        _start_as(_adapted(_described(before), armed, mutation), layout)
        yield
    finally:
        crash_points.disarm(armed, name)
        _wake(name)
        control.stop(name)
        write_private(description, before)
        control.start(name)


def _described(text: str) -> Process:
    spec = json.loads(text)
    return Process(**spec | {"stop_signal": spec["stop_signal"].removeprefix("SIG")})


def _adapted(process: Process, armed: Path, mutation: str) -> Process:
    more = {crash_points.FOLDER: str(armed), crash_points.PROCESS: process.name}
    return started_here(dataclasses.replace(process, environment=process.environment | more), mutation)


def _start_as(process: Process, layout: Layout) -> None:
    control.stop(process.name)
    process.write(layout)
    control.start(process.name)


def _wake(name: str) -> None:
    """A frozen process would not hear that it is to stop."""
    try:
        control.kill(name, "SIGCONT")
    except StackError:
        return
