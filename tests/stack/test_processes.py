"""Commands that end, processes that were left, and steps side by side: failures are reported, nothing is left."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from stack import commands
from stack.errors import StackError
from stack.layout import Layout
from stack.parallel import in_parallel
from stack.process import recorded, stop_recorded

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
        child.kill()


def record(layout: Layout, pid: int, *, started: float | None = None) -> None:
    began = psutil.Process(pid).create_time() if started is None else started
    (layout.processes / "sleeper.pid").write_text(json.dumps({"pid": pid, "started": began}))


def test_a_command_returns_what_it_said_line_by_line() -> None:
    lines: list[str] = []
    script = "echo one; echo two >&2"

    assert commands.run(["sh", "-c", script], on_line=lines.append) == "one\ntwo\n"
    assert lines == ["one\n", "two\n"]


def test_a_command_sees_nothing_that_could_configure_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDER_DATABASE_URL", "postgres://mine")
    seen = commands.run(["env"], environment={"GIVEN": "1"})

    assert "GIVEN=1\n" in seen
    assert "ORDER_DATABASE_URL" not in seen


def test_a_command_that_fails_is_told_with_its_last_lines() -> None:
    with pytest.raises(StackError) as failed:
        commands.run(["sh", "-c", "seq 100; exit 3"])

    assert "exit code 3" in str(failed.value)
    assert str(failed.value).splitlines()[-1] == "100"
    assert len(str(failed.value).splitlines()) <= commands.LINES_SHOWN + 1


def test_an_interrupted_start_ends_what_runs_and_begins_nothing_more() -> None:
    with pytest.raises(StackError, match="ended with exit code -15"):
        commands.run(SLEEP, on_line=lambda line: commands.stop_running())
    with pytest.raises(StackError, match="interrupted"):
        commands.run(["true"])

    commands.allow()
    commands.run(["true"])


def test_what_a_killed_supervisord_left_is_stopped(layout: Layout, sleeper: subprocess.Popen[bytes]) -> None:
    record(layout, sleeper.pid)

    assert stop_recorded(layout) == 1
    assert sleeper.wait(5) == -15
    assert stop_recorded(layout) == 0


def test_another_process_that_got_the_same_number_is_left_alone(
    layout: Layout, sleeper: subprocess.Popen[bytes]
) -> None:
    record(layout, sleeper.pid, started=psutil.Process(sleeper.pid).create_time() - 3600)

    assert list(recorded(layout)) == []
    assert stop_recorded(layout) == 0
    assert sleeper.poll() is None


def test_a_record_without_content_is_forgotten(layout: Layout) -> None:
    (layout.processes / "half.pid").touch()

    assert stop_recorded(layout) == 0
    assert not (layout.processes / "half.pid").exists()


def test_steps_run_side_by_side_and_each_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    gate = threading.Barrier(2, timeout=10)

    in_parallel({"one": gate.wait, "two": gate.wait})
    in_parallel({})

    said = capsys.readouterr().err
    assert "one ready (" in said and "two ready (" in said


def test_the_first_step_that_fails_makes_the_others_give_up() -> None:
    begun = threading.Event()

    def fail() -> None:
        begun.wait(10)
        raise StackError("no room")

    with pytest.raises(StackError, match="^no room$"):
        in_parallel({"fails": fail, "long": lambda: commands.run(SLEEP, on_line=lambda line: begun.set())})
