"""A process that places orders. It reads one JSON line, writes one, and waits for the end of its input.

It lives on after its last order, so that the wake of the relay after its last commit still happens.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any

from bench.errors import BenchError
from stack.commands import plain_environment
from stack.layout import ROOT

END_SECONDS = 10.0


@dataclass(frozen=True)
class Placing:
    """The start of the first order, the end of the last (monotonic seconds), and the CPU seconds in between."""

    started: float
    ended: float
    cpu: float


def serve(source: IO[str], place: Callable[[dict[str, Any]], Placing]) -> None:
    """Run inside the process: place the orders of the first line, answer, and wait for the end of the input."""
    placing = place(json.loads(source.readline()))
    sys.stdout.write(json.dumps(asdict(placing)) + "\n")
    sys.stdout.flush()
    source.read()


@contextmanager
def placed(module: str, task: Mapping[str, Any], environment: Mapping[str, str], timeout: float) -> Iterator[Placing]:
    """Run `module` on `task`; the process lives until the block ends. BenchError if it fails or takes too long."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        env=plain_environment() | dict(environment),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _answer(process, module, task, timeout)
        process.communicate(timeout=END_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _answer(process: subprocess.Popen[str], module: str, task: Mapping[str, Any], timeout: float) -> Placing:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(timeout):
            raise BenchError(f"{module} has not placed its orders within {timeout:.0f} s.")
    line = process.stdout.readline()
    if not line:
        raise BenchError(f"{module} failed; its error is above.")
    return Placing(**json.loads(line))
