"""Builds a model and runs one configuration of it: Spin for the consumer, a search in C++ for relay and saga."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from models.configuration import Configuration, Outcome

HERE = Path(__file__).resolve().parent
WARNINGS = ("-Wall", "-Wextra")
#: Memory of one run of Spin's checker, in MB; the longest path that it follows; bytes of its largest state.
MEMORY, DEPTH, STATE = 6000, 400_000, 2048
LAST_LINE = re.compile(r"^(holds|fails|incomplete) states=(\d+) transitions=\d+ ?(.*)$")

_building = Lock()


class BuildError(Exception):
    """A compiler or Spin refused a model; the text is what it said."""


def run(configuration: Configuration, folder: Path, seconds: float, *, trace: bool = False) -> Outcome:
    """Build what the configuration needs below `folder` and run it, within so many seconds; return its outcome.

    `trace`: with the steps to the violation. BuildError when a model does not compile.
    """
    checker = _spin if configuration.model == "consumer" else _search
    began = time.monotonic()
    try:
        found = checker(configuration, folder, began + seconds, trace)
    except subprocess.TimeoutExpired:
        found = Outcome("no verdict", f"ended after {seconds:.0f} s")
    return Outcome(found.seen, found.reason, found.states, time.monotonic() - began, found.trace)


def build_search(model: str, folder: Path, deadline: float = math.inf, flags: Sequence[str] = WARNINGS) -> Path:
    """Compile the C++ of a model, once for all its configurations; return the program."""
    program = folder / model
    with _building:
        if not program.exists():
            source = HERE / model / f"{model}.cpp"
            part = folder / f"{model}.part"
            _build(["g++", "-O2", "-std=c++17", *flags, "-o", part, source], folder, deadline)
            part.rename(program)
    return program


def _search(configuration: Configuration, folder: Path, deadline: float, trace: bool) -> Outcome:
    program = build_search(configuration.model, folder, deadline)
    output = _output([program, *configuration.options], folder, deadline)
    *steps, last = output.splitlines()
    found = LAST_LINE.match(last)
    if found is None:
        raise BuildError(output)
    return Outcome(found[1], found[3], int(found[2]), trace="\n".join(steps) if trace else "")


def _spin(configuration: Configuration, folder: Path, deadline: float, trace: bool) -> Outcome:
    place = Path(tempfile.mkdtemp(prefix=f"{configuration.name}-", dir=folder))
    try:
        _generate(configuration, place, deadline, breadth_first=trace)
        output = _output(["./pan", f"-m{DEPTH}"], place, deadline)
        steps = _steps(configuration, place, deadline) if trace else ""
        return _verdict(output, steps)
    finally:
        shutil.rmtree(place)


def _generate(configuration: Configuration, place: Path, deadline: float, *, breadth_first: bool) -> None:
    """Let Spin write the checker, and compile it; to optimize it takes longer than all but the large runs."""
    _build(["spin", *_switches(configuration), "-a", HERE / "consumer" / "consumer.pml"], place, deadline)
    limits = [f"-DMEMLIM={MEMORY}", f"-DVECTORSZ={STATE}"]
    search = ["-DBFS"] if breadth_first else ["-DCOLLAPSE"]
    speed = "-O2" if configuration.large else "-O0"
    _build(["gcc", speed, "-w", "-DSAFETY", *search, *limits, "-o", "pan", "pan.c"], place, deadline)


def _switches(configuration: Configuration) -> list[str]:
    return [f"-D{option}" for option in configuration.options]


def _steps(configuration: Configuration, place: Path, deadline: float) -> str:
    """Return the statements that lead to the violation; empty when there is none."""
    if not list(place.glob("*.trail")):
        return ""
    command = ["spin", *_switches(configuration), "-t", "-p", "-g", HERE / "consumer" / "consumer.pml"]
    shutil.copy(next(place.glob("*.trail")), place / "consumer.pml.trail")
    return _output([*command[:-1], "-k", "consumer.pml.trail", command[-1]], place, deadline)


def _verdict(output: str, steps: str) -> Outcome:
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    if errors is None or states is None or "Search not completed" in output and errors[1] == "0":
        return Outcome("no verdict", output.strip()[-200:])
    if "max search depth too small" in output:
        return Outcome("no verdict", "the longest path is longer than the checker follows")
    if errors[1] == "0":
        return Outcome("holds", "", int(states[1]))
    return Outcome("fails", _reason(output), int(states[1]), trace=steps)


def _reason(output: str) -> str:
    """Return the promise that the violated assertion names, or the checker's own words."""
    [line] = re.findall(r"^pan:1: (.*)$", output, re.MULTILINE)[:1] or [""]
    named = re.findall(r"\|\|(\w+)\)", line)
    return named[-1] if named else line


def _build(command: Sequence[str | Path], folder: Path, deadline: float) -> None:
    done = _execute(command, folder, deadline)
    if done.returncode != 0:
        raise BuildError(f"{command[0]} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")


def _output(command: Sequence[str | Path], folder: Path, deadline: float) -> str:
    done = _execute(command, folder, deadline)
    return done.stdout + done.stderr


def _execute(command: Sequence[str | Path], folder: Path, deadline: float) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`; it is killed at the deadline, and TimeoutExpired raised."""
    left = None if deadline == math.inf else max(0.1, deadline - time.monotonic())
    words = [str(part) for part in command]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=left)
