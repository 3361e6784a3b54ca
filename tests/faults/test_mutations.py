"""The checker is worth something: with a rule left out of the product it fails, each time; with all of them it passes.

Each scene (scenes.py) drives the conditions under which one rule is needed: each once with the product without it, and
all of them once with the product as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import mutations, scenes
from tests.faults.checker import SoakChecker
from tests.faults.faulty_stack import FaultyStack
from tests.faults.findings import DOUBLED, LOST, OUT_OF_ORDER, UNFINISHED, WRONG, Finding
from tests.faults.restarts import Mutants
from tests.faults.scenes import Scene, Stage
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.shop import Shelves, Shop

#: For each mutation: the process that runs with it, the scene, and the kinds of findings about its subjects.
CASES: dict[str, tuple[str, Scene, tuple[str, ...]]] = {
    mutations.NO_INBOX: ("product-worker", scenes.an_event_comes_again, (DOUBLED, WRONG)),
    mutations.NO_COMPARISON: ("product-worker", scenes.a_frozen_worker_wakes, (UNFINISHED,)),
    mutations.OFFSETS_FIRST: ("product-worker", scenes.a_worker_dies_before_it_handles, (LOST, UNFINISHED)),
    mutations.SKIP_LOCKED: ("order-worker", scenes.a_frozen_relay_wakes, (OUT_OF_ORDER,)),
    mutations.ID_ALONE: ("product-worker", scenes.two_sources_have_one_id, (LOST,)),
    mutations.KEY_GOES_ON: ("product-worker", scenes.a_parked_event_is_followed, (OUT_OF_ORDER,)),
}


@pytest.fixture(scope="module")
def mutants(stack: FaultyStack) -> Iterator[Mutants]:
    """The processes of the stack; all are without a mutation again after the last test."""
    found = Mutants(stack.armed)
    yield found
    found.heal()


@pytest.fixture
def stage(
    shop: Shop,
    shelves: Shelves,
    databases: Databases,
    log: ForeignClient,
    armed: Path,
    checker: SoakChecker,
    new_findings: Callable[[], list[Finding]],
) -> Stage:
    return Stage(shop, shelves, databases, log, armed, checker, new_findings)


def test_the_checker_finds_nothing_in_any_scene_when_no_rule_is_left_out(stage: Stage):
    for _, scene, _ in CASES.values():
        assert scene(stage, False).findings == []


@pytest.mark.parametrize("mutation", CASES)
def test_the_checker_sees_what_happens_without_a_rule(mutation: str, mutants: Mutants, stage: Stage):
    process, scene, kinds = CASES[mutation]
    mutants.run(process, mutation)

    seen = scene(stage, True)

    assert set(kinds) <= seen.kinds(), seen.findings
