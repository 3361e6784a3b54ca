"""The running stack of the fault tests, in which everything can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults import faulty_stack as of_soak
from tests.faults.checker import SoakChecker
from tests.faults.faulty_stack import FaultyStack, faulty_stack
from tests.faults.findings import Expected, Finding
from tests.journeys.conftest import databases, log, shelves, shop, staff
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient

#: As in a soak, but that a worker's silence is noticed sooner.
SETTINGS = of_soak.SETTINGS | {"CONSUMER_SESSION_TIMEOUT_MS": "3000"}

__all__ = ["databases", "log", "shelves", "shop", "staff"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the soak: its checker asks about all that is there, and the flood leaves much."""
    items.sort(key=lambda item: item.path.name != "test_soak_slice.py")


@pytest.fixture(scope="session")
def stack() -> Iterator[FaultyStack]:
    """The stack, whose services run."""
    with faulty_stack(settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="session")
def variables(stack: FaultyStack) -> Mapping[str, str]:
    return stack.variables


@pytest.fixture
def armed(stack: FaultyStack) -> Path:
    """The folder whose files arm crash points."""
    return stack.armed


@pytest.fixture
def checker(databases: Databases, log: ForeignClient) -> SoakChecker:
    return SoakChecker(databases, log, Expected())


@pytest.fixture
def new_findings(checker: SoakChecker) -> Callable[[], list[Finding]]:
    """Return what the checker finds that it did not find when the test began: another test may have broken things."""
    before = set(checker.findings())
    return lambda: [finding for finding in checker.findings() if finding not in before]
