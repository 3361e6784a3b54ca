"""A slice of the soak: 500 orders and 40 faults of every kind that needs no root, on the stack of the fault tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.faults import soak
from tests.faults.checker import SoakChecker
from tests.faults.faulty_stack import FaultyStack
from tests.faults.letters import let_everything_go
from tests.journeys.databases import Databases

ORDERS, FAULTS, SEED = 500, 40, 1
#: Of the faults, SIGKILLs at the least: a process may be restarting when its turn comes.
KILLS = 12


@pytest.fixture(autouse=True)
def everything_goes_afterwards(databases: Databases, checker: SoakChecker) -> Iterator[None]:
    """The tests that follow want rest, and connections to servers that were killed."""
    yield
    for service in databases.urls:
        databases.reconnect(service)
    let_everything_go(databases, checker)


def test_five_hundred_orders_under_forty_faults_keep_every_promise(
    stack: FaultyStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    size = ["--orders", str(ORDERS), "--faults", str(FAULTS), "--seed", str(SEED), "--results", str(tmp_path)]

    code = soak.main(size, place=lambda **_: nullcontext(stack))

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["violations"] == []
    assert code == 0
    assert {name: result[name] for name in ("lost", "doubled", "out_of_order", "unfinished")} == {
        "lost": 0,
        "doubled": 0,
        "out_of_order": 0,
        "unfinished": 0,
    }
    assert (result["orders"], result["faults"]) == (ORDERS, FAULTS)
    assert result["kills"] >= KILLS
