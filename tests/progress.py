"""Where the tests of a lane are: written down by the process that runs them, shown by the one that waits."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import pytest

#: Names the file in which a process of tests writes where it is, and the title of its part there.
FILE, PART = "TEST_PARTS_PROGRESS", "TEST_PARTS_PART"
#: Without a terminal, how often the lanes' lines are written.
LINES_EVERY_SECONDS = 15.0
REDRAW_SECONDS = 0.5


@dataclass
class Progress:
    """The part, how many of its tests are done, which of them failed, the test that runs and since when."""

    part: str
    total: int = 0
    done: int = 0
    failed: list[str] = field(default_factory=list)
    test: str = "collecting"
    since: float = 0.0

    def text(self) -> str:
        failed = f" {len(self.failed)} failed" if self.failed else ""
        return f"{self.part} {self.done}/{self.total}{failed}  {self.test} ({time.time() - self.since:.0f} s)"

    @classmethod
    def read(cls, path: Path) -> Progress | None:
        """Return what was written last, None when nothing was."""
        return cls(**json.loads(path.read_text())) if path.exists() else None


class Writer:
    """A pytest plugin that writes the progress of this process."""

    def __init__(self, path: Path, part: str) -> None:
        self._path = path
        self._progress = Progress(part, since=time.time())
        self._write()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._progress.total = len(session.items)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._progress.test, self._progress.since = nodeid, time.time()
        self._write()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._progress.failed.append(report.nodeid)

    def pytest_runtest_logfinish(self) -> None:
        self._progress.done += 1
        self._write()

    def _write(self) -> None:
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self._progress)))
        draft.replace(self._path)


def register_writer(config: pytest.Config) -> None:
    """Write this process's progress when the one that started it wants to know."""
    if FILE in os.environ:
        config.pluginmanager.register(Writer(Path(os.environ[FILE]), os.environ.get(PART, "")))


class Board:
    """Shows a line per lane: redrawn in place on a terminal, else written again from time to time."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._is_terminal = self._out.isatty()
        self._begin = self._shown_at = time.monotonic()
        self._drawn = 0

    def show(self, lines: list[str]) -> None:
        """Show where the lanes are, if it is time to."""
        now = time.monotonic()
        if now - self._shown_at < (REDRAW_SECONDS if self._is_terminal else LINES_EVERY_SECONDS):
            return
        self._shown_at = now
        self.clear()
        self._write(lines)
        self._drawn = len(lines) if self._is_terminal else 0

    def tell(self, line: str) -> None:
        """Write a line that stays."""
        self.clear()
        self._write([line])

    def clear(self) -> None:
        """Take the lines away that are to be redrawn."""
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _write(self, lines: list[str]) -> None:
        width = shutil.get_terminal_size().columns - 1 if self._is_terminal else None
        for line in lines:
            self._out.write(f"[{time.monotonic() - self._begin:5.0f} s] {line}"[:width] + "\n")
        self._out.flush()
