"""A broker that is frozen for longer than its clients wait, twice: every worker comes back to what it used before."""

from __future__ import annotations

import pytest

from tests.faults import frozen_broker
from tests.faults.checker import SoakChecker
from tests.faults.faulty_stack import FaultyStack
from tests.faults.frozen_broker import Round, Usage
from tests.journeys.waiting import eventually

#: Longer than a client of the workers waits for an answer (30 s).
ROUNDS, SECONDS = 2, 35.0


def test_workers_use_no_more_after_the_broker_was_frozen(stack: FaultyStack, checker: SoakChecker):
    eventually(lambda: not checker.on_the_way(), "rest", state=checker.on_the_way)
    pids = frozen_broker.pids_of(stack.layout)
    servers = stack.variables["KAFKA_BOOTSTRAP_SERVERS"]

    found = frozen_broker.rounds(stack.layout, servers, ROUNDS, SECONDS)

    assert frozen_broker.problems(found, pids == frozen_broker.pids_of(stack.layout)) == []


BEFORE = Usage(memory=100_000_000, threads=10, files=30, cpu=1.0)


@pytest.mark.parametrize(
    ("after", "share", "said"),
    [
        (Usage(131_000_000, 10, 30, 2.0), 0.1, "w has 131000000 (memory)"),
        (Usage(100_000_000, 14, 30, 2.0), 0.1, "w has 14 (threads)"),
        (Usage(100_000_000, 10, 41, 2.0), 0.1, "w has 41 (files)"),
        (BEFORE, 0.6, "w used 60% of a core"),
    ],
)
def test_what_grows_or_spins_is_found(after: Usage, share: float, said: str):
    one = Round({"w": BEFORE}, {"w": BEFORE}, {"w": BEFORE}, {"w": 0.1})
    last = Round({"w": BEFORE}, {"w": after}, {"w": after}, {"w": share})
    assert frozen_broker.problems([one, one], pids_stayed=True) == []
    [problem] = frozen_broker.problems([one, last], pids_stayed=True)
    assert problem.startswith(said)
