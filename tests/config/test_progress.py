"""What is shown while lanes run: a line per lane, in place on a terminal, from time to time elsewhere."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from tests import progress
from tests.config.small_parts import FAILING, OPTIONS, PASSING, make_parts
from tests.in_turn import pytest_command
from tests.progress import Board, Progress


def test_a_process_writes_its_part_its_counts_and_its_failures(tmp_path: Path) -> None:
    written = tmp_path / "progress.json"
    [paths] = make_parts(tmp_path, PASSING + FAILING).values()
    more = {progress.FILE: str(written), progress.PART: "order (2 of 6)", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    subprocess.run(pytest_command(OPTIONS, paths), env=os.environ | more, cwd=tmp_path, check=False)
    read = Progress.read(written)

    assert read
    assert (read.part, read.done, read.total) == ("order (2 of 6)", 2, 2)
    assert read.failed == ["test_part_0.py::test_it_does_fail"]
    assert read.text().startswith("order (2 of 6) 2/2 1 failed  test_part_0.py::test_it_does_fail (")


def test_nothing_is_read_before_anything_is_written(tmp_path: Path) -> None:
    assert Progress.read(tmp_path / "progress.json") is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(board: Board, *frames: list[str], monkeypatch: pytest.MonkeyPatch, every: float) -> None:
    """Show the frames, `every` seconds apart."""
    now = progress.time.monotonic()
    for number, lines in enumerate(frames, start=1):
        monkeypatch.setattr(progress.time, "monotonic", lambda at=now + number * every: at)
        board.show(lines)


def test_a_terminal_shows_the_lines_in_place_of_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()

    shown(Board(out), ["one", "two"], ["three", "four"], monkeypatch=monkeypatch, every=1)

    before, after = out.getvalue().split("\x1b[2F\x1b[J")
    assert "one" in before and "two" in before
    assert "three" in after and "four" in after


def test_a_line_that_stays_is_written_above_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    board = Board(out)

    shown(board, ["one"], monkeypatch=monkeypatch, every=1)
    board.tell("FAILED a test")

    assert out.getvalue().partition("\x1b[1F\x1b[J")[2].endswith("FAILED a test\n")


def test_without_a_terminal_the_lines_come_every_fifteen_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()

    shown(Board(out), *([f"frame {number}"] for number in range(1, 7)), monkeypatch=monkeypatch, every=5.1)

    assert [line.split("] ")[1] for line in out.getvalue().splitlines()] == ["frame 3", "frame 6"]


def test_a_long_line_does_not_wrap_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setenv("COLUMNS", "40")

    shown(Board(out), ["x" * 100], monkeypatch=monkeypatch, every=1)

    assert len(out.getvalue().rstrip("\n")) == 39
