"""PostgreSQL waits for the disk wherever a promise is measured; only the servers of a test run need not."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import own_stack
from stack import __main__ as commands_of_make
from stack import lifecycle, postgres, testing
from stack.layout import Layout
from stack.lifecycle import Options
from stack.state import State
from tests.architecture.sources import EVERYTHING, ROOT, files


class Started(Exception):
    """Servers were about to be started."""


@pytest.fixture
def options_of(monkeypatch: pytest.MonkeyPatch, layout: Layout) -> Callable[[Callable[[Layout], object]], Options]:
    """Return the options that something starts servers with; none is started."""
    seen: list[Options] = []

    def note(layout: Layout, options: Options) -> None:
        seen.append(options)
        raise Started

    monkeypatch.setattr(lifecycle, "start_infrastructure", note)
    monkeypatch.setattr(lifecycle, "stop", lambda layout: None)
    monkeypatch.setattr(own_stack, "SIGNALS", ())
    monkeypatch.setenv("STACK_DIR", str(layout.directory))

    def options_of(start: Callable[[Layout], object]) -> Options:
        with pytest.raises(Started):
            start(layout)
        return seen[0]

    return options_of


def bench(layout: Layout) -> None:
    with own_stack.stack_in(layout):
        pytest.fail("nothing was started")


def soak(layout: Layout) -> None:
    testing.ensure_infrastructure()


def up(layout: Layout) -> None:
    options = commands_of_make._options(Namespace(for_tests=True), end_with_parent=True)
    commands_of_make._start(layout, options)


@pytest.mark.parametrize("start", [bench, soak, up])
def test_servers_of_bench_soak_and_demo_wait_for_the_disk(
    start: Callable[[Layout], None],
    options_of: Callable[[Callable[[Layout], object]], Options],
    layout: Layout,
    state: State,
) -> None:
    [server] = lifecycle._postgres(layout, state, "order", options_of(start)).processes

    assert not [part for part in server.command if part.startswith(("fsync", "full_page_writes", "synchronous"))]


def test_a_server_of_a_test_run_commits_in_order_and_leaves_the_disk_to_the_kernel(
    layout: Layout, state: State
) -> None:
    command = postgres.process(layout, state, "coupon", synced=False).command

    assert {"fsync=off", "full_page_writes=off"} <= set(command)
    assert not [part for part in command if part.startswith("synchronous_commit")]


def test_nothing_but_a_run_of_tests_asks_for_servers_that_do_not_wait() -> None:
    sources = {*files(*EVERYTHING), *ROOT.glob("*.py")} - {Path(__file__)}
    asking = re.compile(r"ensure_infrastructure\(.*short_lived|Options\([^)]*short_lived")

    found = {str(path.relative_to(ROOT)) for path in sources if asking.search(path.read_text(encoding="utf-8"))}
    assert found == {"conftest.py", "stack/testing.py"}  # the second passes on what it is given, by default False
