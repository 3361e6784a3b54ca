"""Runs parts one after the other, a process each."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from textwrap import shorten

from tests import parts
from tests.ending import PARENT
from tests.parts import Part
from tests.progress import PART
from tests.summary import INTERRUPTED, NO_TESTS, REPORT, Result

#: Begins what a part writes.
HEAD = "######## "


def run_in_turn(chosen: dict[Part, list[str]], options: list[str]) -> int:
    """Run each part in a process of its own, print one summary, and return pytest's exit code."""
    started = time.monotonic()
    result = Result()
    try:
        for number, (part, paths) in enumerate(chosen.items(), start=1):
            print(f"\n{HEAD}{part.name}: {shorten(' '.join(paths), 120)}", flush=True)  # noqa: T201
            result.add(_run(part, f"{part.name} ({number} of {len(chosen)})", paths, options))
            if result.code not in (0, NO_TESTS) and ends_at_first_failure(options):
                break
    except KeyboardInterrupt:
        result.code = INTERRUPTED
    result.leave()
    print(result.text(time.monotonic() - started), flush=True)  # noqa: T201
    return result.exit_code


def ends_at_first_failure(options: list[str]) -> bool:
    """Say whether the first failure ends the whole run."""
    return "-x" in options or "--exitfirst" in options


def pytest_command(options: list[str], paths: list[str]) -> list[str]:
    """Return the command that tests these paths."""
    return [sys.executable, "-m", "pytest", *options, *paths]


def _run(part: Part, title: str, paths: list[str], options: list[str]) -> Result:
    begin, cpu = time.monotonic(), _cpu_seconds()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / f"{part.name}.json"
        more = {REPORT: str(report), PART: title, PARENT: str(os.getpid())}
        child = subprocess.Popen(pytest_command(options, paths), env={**os.environ, **more}, cwd=parts.ROOT)
        code = _wait(child)
        result = Result.read(report, code)
    result.times = [(part.name, time.monotonic() - begin, _cpu_seconds() - cpu)]
    return result


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for the end; when we are to end, so is the child, whose fixtures take their time."""
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)  # a shell lets its background jobs ignore SIGINT
        child.wait()
        raise


def _cpu_seconds() -> float:
    """Return the CPU time of the processes that have ended: a part's, and what its tests started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
