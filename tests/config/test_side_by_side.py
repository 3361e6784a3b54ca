"""Lanes side by side: one summary, failures in full, and no process left however the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import parts
from tests.config.small_parts import BROKEN, FAILING, NOTHING, OPTIONS, PASSING, make_parts
from tests.parts import ROOT
from tests.side_by_side import run_side_by_side

#: What the tests' tests start, known by its argument, so that another run of these tests is not taken for ours.
SLEEP = ["sleep", f"300.{os.getpid()}"]
#: Says that it runs, and leaves a child behind if it is not torn down.
SLEEPING = f"""
import pathlib, subprocess, pytest

@pytest.fixture
def child():
    child = subprocess.Popen({SLEEP})
    pathlib.Path(__file__ + ".sleeps").touch()
    yield child
    child.kill()
    child.wait()
    pathlib.Path(__file__ + ".torn_down").touch()

def test_it_sleeps_long(child): child.wait()
"""
LEAVING = f"""
import subprocess

def test_it_leaves_a_process(): subprocess.Popen({SLEEP})
"""
WAIT_SECONDS = 60


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sleepers() -> list[psutil.Process]:
    """Return the processes that our tests' tests left."""
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == SLEEP]


@pytest.fixture
def lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a lane of each part."""
    monkeypatch.setattr(parts, "ROOT", tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def make(*contents: str) -> Any:
        return {f"lane-{part.name[-1]}": {part: paths} for part, paths in make_parts(tmp_path, *contents).items()}

    return make


@pytest.fixture
def run(lanes: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run lanes of these contents; return the exit code and what was said."""

    def run_lanes(*contents: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
        code = run_side_by_side(lanes(*contents), [*OPTIONS, *options], tmp_path / "stacks")
        return code, capfd.readouterr().out

    return run_lanes


def test_lanes_that_pass_end_with_one_summary_and_zero(run: Any) -> None:
    code, said = run(PASSING, PASSING)

    assert code == 0
    assert "lane-0" in said and "lane-1" in said
    assert " 2 passed in " in said.splitlines()[-1]


def test_a_failure_is_shown_in_full_and_named_before_the_last_line(run: Any) -> None:
    code, said = run(FAILING, PASSING)

    assert code == 1
    assert "def test_it_does_fail(): assert 0" in said
    assert said.splitlines()[-2] == "FAILED test_part_0.py::test_it_does_fail"
    assert " 1 failed, 1 passed in " in said.splitlines()[-1]


def test_a_lane_that_can_not_be_collected_ends_with_pytests_code_and_its_error_is_shown(run: Any) -> None:
    code, said = run(PASSING, BROKEN)

    assert code == 2
    assert "No module named 'nothing_of_that_name'" in said
    assert " 1 passed, 1 error in " in said.splitlines()[-1]


def test_a_lane_that_dies_is_an_error_and_all_that_it_said_is_shown(run: Any) -> None:
    code, said = run("print('the last words', flush=True)\nimport os; os._exit(9)\n", PASSING, options=("-s",))

    assert code == 9
    assert "the last words" in said
    assert " 1 passed, 1 error in " in said.splitlines()[-1]


def test_no_tests_in_one_lane_is_fine_and_in_all_lanes_is_not(run: Any) -> None:
    assert run(NOTHING, PASSING)[0] == 0
    assert run(PASSING, PASSING, options=("-k", "nothing_of_that_name"))[0] == 5


def test_the_first_failure_ends_the_other_lanes_when_that_is_asked_for(run: Any, tmp_path: Path) -> None:
    code, said = run(FAILING, SLEEPING, options=("-x",))

    assert code == 1
    assert " 1 failed" in said.splitlines()[-1]
    assert not sleepers()


def test_a_process_that_a_test_leaves_ends_with_its_lane(run: Any) -> None:
    assert run(LEAVING, PASSING)[0] == 0
    assert not sleepers()


#: Runs the lanes of two files as `make test` does.
PROGRAM = f"""
import signal, sys
from pathlib import Path
for number in (signal.SIGINT, signal.SIGHUP):  # a run of tests in the background ignores them
    signal.signal(number, signal.SIG_DFL)
sys.path.insert(0, {str(ROOT)!r})
from tests import parts
from tests.config.small_parts import OPTIONS, make_parts
from tests.ending import end_on_signals
from tests.side_by_side import run_side_by_side

end_on_signals()
folder = Path(sys.argv[1])
parts.ROOT = folder
chosen = {{f"lane-{{part.name[-1]}}": {{part: paths}} for part, paths in make_parts(folder, *sys.argv[2:]).items()}}
sys.exit(run_side_by_side(chosen, OPTIONS, folder / "stacks"))
"""


@pytest.fixture
def under_way(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Two lanes, each in the middle of a test that waits for a child."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), SLEEPING, SLEEPING]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(tmp_path.glob("*.sleeps"))) == 2 or process.poll() is not None)
    assert len(sleepers()) == 2
    yield process
    process.kill()
    process.wait()
    wait_for(lambda: not sleepers())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_lane_in_order_and_leaves_no_process(
    number: signal.Signals, under_way: subprocess.Popen[str], tmp_path: Path
) -> None:
    lanes = psutil.Process(under_way.pid).children(recursive=True)

    under_way.send_signal(number)
    said, _ = under_way.communicate(timeout=WAIT_SECONDS)

    assert under_way.returncode == 2
    assert "no tests ran" in said.splitlines()[-1]
    assert len(list(tmp_path.glob("*.torn_down"))) == 2
    assert not [each for each in lanes if each.is_running()]


def test_when_the_run_is_killed_its_lanes_end_by_themselves(under_way: subprocess.Popen[str], tmp_path: Path) -> None:
    lanes = psutil.Process(under_way.pid).children(recursive=True)

    under_way.kill()

    wait_for(lambda: len(list(tmp_path.glob("*.torn_down"))) == 2)
    wait_for(lambda: not [each for each in lanes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE])
