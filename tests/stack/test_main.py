"""`python -m stack`: a stack that does not run, and calls that are not understood."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack import lifecycle
from stack.errors import StackError
from stack.layout import ROOT, Layout
from stack.lifecycle import Options
from stack.state import State


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "STACK_DIR": str(place)}
    command = [sys.executable, "-m", "stack", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_status_of_a_stack_that_does_not_run_is_an_error_of_one_line(layout: Layout) -> None:
    done = run(layout.directory, "status")

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: The stack in {layout.directory} is not running; start it with `make up`")
    assert len(done.stderr.splitlines()) == 1


def test_stopping_what_does_not_run_is_fine(layout: Layout) -> None:
    done = run(layout.directory, "down")

    assert done.returncode == 0
    assert "no process is left" in done.stderr


def test_an_unknown_command_names_the_known_ones(layout: Layout) -> None:
    done = run(layout.directory, "begin")

    assert done.returncode == 2
    assert all(name in done.stderr for name in ("run", "up", "down", "status", "demo"))


def test_tests_never_empty_the_data_of_a_stack_that_is_not_theirs(layout: Layout) -> None:
    State().save(layout)
    kept = layout.postgres / "order"
    kept.mkdir()

    with pytest.raises(StackError, match="holds the data of `make up`: set STACK_DIR"):
        lifecycle._empty(layout)
    assert kept.exists()


def test_tests_begin_with_empty_data(layout: Layout) -> None:
    State(for_tests=True).save(layout)
    for left in (layout.postgres / "order", layout.directory / "kafka", layout.directory / "kafka-2"):
        left.mkdir()

    lifecycle._empty(layout)

    assert sorted(path.name for path in layout.directory.iterdir()) == ["log", "postgres", "processes"]
    assert not list(layout.postgres.iterdir())


def test_a_stack_has_one_broker_unless_the_caller_wants_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKERS", "")
    assert Options().brokers == 1

    monkeypatch.setenv("BROKERS", "3")
    assert Options().brokers == 3


def test_default_ports_of_all_parts_differ(layout: Layout, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, int] = {}
    monkeypatch.setattr(lifecycle, "choose", lambda defaults, **_: asked.update(defaults) or defaults)

    lifecycle._decide(layout, state, {}, Options(brokers=3))

    assert len(asked) == len(set(asked.values())) == 4 + 6 + 1 + 4
    assert State.load(layout).ports == asked


def test_only_the_servers_that_are_wanted_are_started(layout: Layout, state: State) -> None:
    wanted = lifecycle._parts(layout, state, {}, Options(servers=("postgres-order", "redis")))

    assert set(wanted) == {"postgres-order", "redis"}
    assert set(lifecycle._parts(layout, state, {}, Options())) == {
        *("postgres-order", "postgres-product", "postgres-coupon", "postgres-user"),
        *("kafka", "redis"),
    }
