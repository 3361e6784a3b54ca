"""Runs lanes at once, each in a session of its own and on a stack of its own.

What a lane says goes to `pytest.log` in the folder of its stack, `.stack/test/<lane>`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from stack import lifecycle
from stack.layout import Layout
from stack.ports import CHOICE
from tests import parts, progress
from tests.ending import PARENT, undisturbed
from tests.in_turn import HEAD, ends_at_first_failure, pytest_command
from tests.parts import Part
from tests.progress import Board, Progress
from tests.summary import INTERRUPTED, NO_TESTS, REPORT, Result

#: Tells a process that it is a lane.
LANE = "TEST_LANE"
LOOK_SECONDS = 0.2
#: A lane that is to end tears its fixtures down and stops its servers.
END_SECONDS = 90.0
PORTS_OF_A_LANE = 2000
FAILURES = re.compile(r"^=+ (?:ERRORS|FAILURES) =+$", re.MULTILINE)


class RunningLane:
    """A lane's process, which is a session of its own: a terminal's Ctrl-C reaches it through us only."""

    def __init__(self, name: str, number: int, directory: Path, options: list[str], paths: list[str]) -> None:
        self.name = name
        self.directory = directory / name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log, self._report = self.directory / "pytest.log", self.directory / "report.json"
        self._progress = self.directory / "progress.json"
        for left in (self._report, self._progress):
            left.unlink(missing_ok=True)
        self._failed: set[str] = set()
        self._asked_to_end = False
        ports = CHOICE.start + number * PORTS_OF_A_LANE
        own = {
            LANE: name, PARENT: str(os.getpid()), "STACK_DIR": str(self.directory),
            "STACK_PORTS": f"{ports}-{ports + PORTS_OF_A_LANE}",
            REPORT: str(self._report), progress.FILE: str(self._progress),
        }  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                pytest_command(options, paths), env={**os.environ, **own}, cwd=parts.ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self.process.poll()

    def line(self) -> str:
        """Say where it is."""
        if self.code is not None:
            return f"{self.name:10} ended with exit code {self.code}"
        now = Progress.read(self._progress)
        return f"{self.name:10} {now.text() if now else self._last_line()}"

    def _last_line(self) -> str:
        return (self.log.read_text(errors="replace").splitlines() or ["starting"])[-1]

    def new_failures(self) -> list[str]:
        """Return the tests that failed since this was asked for."""
        now = Progress.read(self._progress)
        new = [each for each in (now.failed if now else []) if each not in self._failed]
        self._failed.update(new)
        return new

    def result(self) -> Result:
        """Return what its parts left."""
        code = self.process.wait()
        return Result.read(self._report, code) if self._report.exists() or not self._asked_to_end else Result()

    def end(self) -> None:
        """Ask it to end, if it still runs."""
        if self.code is None:
            self._asked_to_end = True
            self.process.send_signal(signal.SIGTERM)

    def failures(self) -> str:
        """Return what its log says of failures, or all of it when it failed in another way."""
        said = self.log.read_text(errors="replace")
        pieces = said.split(f"\n{HEAD}")
        found = [HEAD + piece[match.start() :] for piece in pieces if (match := FAILURES.search(piece))]
        return "\n".join(found) or ("" if self._asked_to_end else said)

    def kill_the_rest(self) -> None:
        """Kill what is left of its session, and stop its servers if it could not do so itself."""
        for process in _session(self.process.pid):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process.wait() < 0:
            lifecycle.stop(Layout(self.directory.resolve()))


def _session(leader: int) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader:
                yield process


def run_side_by_side(chosen: dict[str, dict[Part, list[str]]], options: list[str], directory: Path) -> int:
    """Run the lanes at once, show where each is, end with one summary, and return pytest's exit code."""
    started, board = time.monotonic(), Board()
    lanes: list[RunningLane] = []
    try:
        for number, (name, own) in enumerate(chosen.items()):
            paths = [path for given in own.values() for path in given]
            lanes.append(RunningLane(name, number, directory, options, paths))
            board.tell(f"{name:10} begins: {', '.join(part.name for part in own)}; its output: {lanes[-1].log}")
        first = _watch(lanes, board, ends_at_first_failure(options))
    except KeyboardInterrupt:
        board.tell("Stopping …")
        first = INTERRUPTED
    finally:
        with undisturbed():
            _stop(lanes)
    board.clear()
    result = Result(code=first)
    for lane in lanes:
        _close(lane, result, board)
    print(result.text(time.monotonic() - started), flush=True)  # noqa: T201
    return result.exit_code


def _watch(lanes: list[RunningLane], board: Board, ends_at_first: bool) -> int:
    """Wait for all lanes, or for the first bad one when that is to end the run; return its exit code, else 0."""
    while True:
        running = [lane for lane in lanes if lane.code is None]
        for lane in lanes:
            for failure in lane.new_failures():
                board.tell(f"{lane.name:10} FAILED {failure}")
        bad = [lane.code for lane in lanes if lane.code not in (None, 0, NO_TESTS)]
        if not running or (bad and ends_at_first):
            return bad[0] if bad and bad[0] else 0
        board.show([lane.line() for lane in lanes])
        time.sleep(LOOK_SECONDS)


def _stop(lanes: list[RunningLane]) -> None:
    """Let the lanes that still run end in order, and kill what is left of any."""
    for lane in lanes:
        lane.end()
    deadline = time.monotonic() + END_SECONDS
    while any(lane.code is None for lane in lanes) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    for lane in lanes:
        lane.kill_the_rest()


def _close(lane: RunningLane, result: Result, board: Board) -> None:
    own = lane.result()
    own.times = [(f"{lane.name}: {part}", wall, cpu) for part, wall, cpu in own.times]
    result.add(own)
    if own.code not in (0, NO_TESTS) and (said := lane.failures()):
        print(f"\n######## the lane {lane.name}\n{said}", flush=True)  # noqa: T201
