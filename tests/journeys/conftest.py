"""One running stack for all journeys; after each of them everything has to be at rest and consistent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stack import control, supervision, testing
from tests.journeys.consistency import Checker
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.shop import Person, Shelves, Shop

#: A killed worker's partitions go to another one after this silence.
SETTINGS = {"CONSUMER_SESSION_TIMEOUT_MS": "3000"}


@pytest.fixture(scope="session")
def variables() -> Iterator[dict[str, str]]:
    """The env file of the stack, whose services run; what ran before is left running."""
    stack_ran = supervision.is_running(testing.layout())
    services_ran = stack_ran and control.state("order-web", layout=testing.layout()) == "RUNNING"
    try:
        yield testing.start_services(SETTINGS)
    finally:
        if not stack_ran:
            testing.stop_all()
        elif not services_ran:
            testing.stop_services()


@pytest.fixture(scope="session")
def databases(variables: dict[str, str]) -> Iterator[Databases]:
    opened = Databases(variables)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def log(variables: dict[str, str]) -> Iterator[ForeignClient]:
    client = ForeignClient(variables["KAFKA_BOOTSTRAP_SERVERS"])
    yield client
    client.close()


@pytest.fixture(scope="session")
def shop(variables: dict[str, str]) -> Shop:
    return Shop(variables)


@pytest.fixture
def staff(shop: Shop) -> Person:
    return shop.staff()


@pytest.fixture
def shelves(staff: Person, databases: Databases) -> Shelves:
    return Shelves(staff, databases)


@pytest.fixture
def customer(shop: Shop) -> Person:
    """Somebody who orders."""
    return shop.visitor()


@pytest.fixture
def newcomer(shop: Shop) -> Person:
    """Somebody who has just registered and signed in."""
    return shop.customer()


@pytest.fixture(scope="session")
def checker(databases: Databases, log: ForeignClient) -> Checker:
    return Checker(databases, log)


@pytest.fixture(autouse=True)
def consistent_afterwards(checker: Checker) -> Iterator[None]:
    """Every journey begins and ends at rest, with every rule kept."""
    yield
    checker.wait_for_rest()
    assert checker.violations() == []
