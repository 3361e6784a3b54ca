"""The running stack of the fault tests, some of whose processes are started with a rule left out for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack import control, supervision, testing
from tests.faults.checker import SoakChecker
from tests.faults.findings import Expected, Finding
from tests.journeys.conftest import customer, databases, log, shelves, shop, staff
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient

#: One local attempt, so that what fails is parked after seconds.
SETTINGS = {"CONSUMER_SESSION_TIMEOUT_MS": "6000", "RETRY_IMMEDIATE": "1", "RETRY_PAUSE_CAP_SECONDS": "2"}

__all__ = ["customer", "databases", "log", "shelves", "shop", "staff"]


@pytest.fixture(scope="session")
def variables() -> Iterator[dict[str, str]]:
    """The env file of the stack, whose services run."""
    stack_ran = supervision.is_running(testing.layout())
    services_ran = stack_ran and control.state("order-web", layout=testing.layout()) == "RUNNING"
    try:
        yield testing.start_services(SETTINGS)
    finally:
        if not stack_ran:
            testing.stop_all()
        elif not services_ran:
            testing.stop_services()


@pytest.fixture
def armed(tmp_path: Path) -> Path:
    """The folder whose files arm crash points."""
    return tmp_path


@pytest.fixture
def checker(databases: Databases, log: ForeignClient) -> SoakChecker:
    return SoakChecker(databases, log, Expected())


@pytest.fixture
def new_findings(checker: SoakChecker) -> Callable[[], list[Finding]]:
    """Return what the checker finds that it did not find when the test began: another test may have broken things."""
    before = set(checker.findings())
    return lambda: [finding for finding in checker.findings() if finding not in before]
