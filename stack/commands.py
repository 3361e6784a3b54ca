"""Runs commands that end by themselves (initdb, Maven, migrate), and can stop them."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack.errors import StackError

INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "JAVA_HOME",
    "MAVEN_OPTS",
    "USER",
    "LOGNAME",
    "STACK_PORTS",
)
LINES_SHOWN = 30

_running: set[subprocess.Popen[str]] = set()
_stopped = threading.Event()


def plain_environment() -> dict[str, str]:
    """Return the caller's environment without the variables that configure services."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a command to its end and return its output; StackError with the last lines if it fails.

    `environment` is added to the plain one. `on_line` gets each line of output immediately.
    """
    raise_if_stopped()
    process = subprocess.Popen(
        [str(part) for part in command],
        env=plain_environment() | dict(environment or {}),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _running.add(process)
    try:
        return _finish(process, on_line or (lambda line: None))
    finally:
        _running.discard(process)


def _finish(process: subprocess.Popen[str], on_line: Callable[[str], None]) -> str:
    assert process.stdout is not None
    lines = []
    with process.stdout:
        for line in process.stdout:
            lines.append(line)
            on_line(line)
    if process.wait() != 0:
        shown = "".join(lines[-LINES_SHOWN:])
        raise StackError(f"{process.args!r} ended with exit code {process.returncode}:\n{shown}")
    return "".join(lines)


def stop_running() -> None:
    """Stop the running commands and refuse new ones until `allow()`: the start failed or was interrupted."""
    _stopped.set()
    for process in tuple(_running):
        process.terminate()


def allow() -> None:
    """Allow commands, at the beginning of a start."""
    _stopped.clear()


def raise_if_stopped() -> None:
    """Raise StackError if the start was interrupted meanwhile."""
    if _stopped.is_set():
        raise StackError("The start was interrupted.")
