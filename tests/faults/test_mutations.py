"""The checker is worth something: with a rule left out of the product it fails, each time; with all of them it passes.

Each test drives the conditions under which that rule is needed, once with the product as it is and once without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from stack import control
from tests.faults import mutations
from tests.faults.checker import SoakChecker
from tests.faults.crash_points import AFTER_COMMIT, BEFORE_HANDLING, BEFORE_PRODUCE, arm
from tests.faults.findings import DOUBLED, LOST, OUT_OF_ORDER, UNFINISHED, WRONG, Finding
from tests.faults.restarts import running_as
from tests.faults.start import NO_MUTATION
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient, Record
from tests.journeys.processes import second_worker
from tests.journeys.shop import Shelves, Shop
from tests.journeys.waiting import eventually

Found = Callable[[], list[Finding]]
REPAIR = """
    UPDATE messaging_consumer_position SET next_offset = %s, stopped_reason = NULL, stopped_at = NULL
    WHERE topic = 'order.events' AND partition = %s
"""
PATIENT_SECONDS = 120.0


def both(mutation: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mutation", [NO_MUTATION, mutation], ids=["as it is", "mutated"])


def assert_found(found: list[Finding], subjects: Sequence[str], *kinds: str, mutation: str) -> None:
    """With the mutation there are findings of these kinds about the subjects; without it there is none at all."""
    if mutation == NO_MUTATION:
        assert found == []
    else:
        about = [each for each in found for name in subjects if name == each.subject or name in each.sentence]
        assert set(kinds) <= {finding.kind for finding in about}, found


def wait_for_rest(checker: SoakChecker) -> None:
    eventually(lambda: not checker.unrest(), "rest", seconds=PATIENT_SECONDS, state=checker.unrest)


def created(log: ForeignClient, order: str) -> Record:
    return eventually(lambda: log.read("order.events", order), "OrderCreated in the log")[0]


def wait_frozen(name: str) -> int:
    """Wait until a process of the stack has stopped itself; return its id."""
    pid = control.pid(name)
    eventually(
        lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"{name} to freeze", seconds=PATIENT_SECONDS
    )
    return pid


@both(mutations.NO_INBOX)
def test_the_checker_sees_an_event_that_takes_effect_twice(
    mutation: str,
    shop: Shop,
    shelves: Shelves,
    log: ForeignClient,
    armed: Path,
    checker: SoakChecker,
    new_findings: Found,
):
    customer, product = shop.visitor(), shelves.product(100)
    with running_as("product-worker", armed, mutation):
        order = customer.place({product: 3})
        customer.wait_ended(order, "CONFIRMED", PATIENT_SECONDS)
        log.publish_again(created(log, order), 2)
        wait_for_rest_of_messages(checker)
        assert_found(new_findings(), [order, product], DOUBLED, WRONG, mutation=mutation)


def wait_for_rest_of_messages(checker: SoakChecker) -> None:
    """Wait until all that was published is handled, whatever came of it."""
    eventually(lambda: not checker.on_the_way(), "every message", seconds=PATIENT_SECONDS, state=checker.on_the_way)


@both(mutations.NO_COMPARISON)
def test_the_checker_sees_a_frozen_worker_that_moves_the_position_back(
    mutation: str,
    shop: Shop,
    shelves: Shelves,
    databases: Databases,
    log: ForeignClient,
    armed: Path,
    checker: SoakChecker,
    new_findings: Found,
):
    customer, product = shop.visitor(), shelves.product(100)
    with running_as("product-worker", armed, mutation):
        arm(armed, "product-worker", BEFORE_HANDLING, "SIGSTOP")
        order = customer.place({product: 3})
        partition = created(log, order).partition
        wait_frozen("product-worker")
        with second_worker("product-worker"):
            customer.wait_ended(order, "CONFIRMED", PATIENT_SECONDS)
            wait_for_rest(checker)
            end = log.end("order.events", partition)
            eventually(
                lambda: log.group_offset("product", "order.events", partition) == end, "the offset to be committed"
            )
            # The woken worker freezes again, before it comes by what it has missed: that would hide where it left the
            # position. If it died, the one that is started in its stead would come by it too.
            file = arm(armed, "product-worker", AFTER_COMMIT, "SIGSTOP")
            control.kill("product-worker", "SIGCONT")
            eventually(lambda: not file.exists(), "the woken worker to commit", seconds=PATIENT_SECONDS)
            if mutation == NO_MUTATION:
                wait_for_rest(checker)
            found = new_findings()
        databases.change("product", REPAIR, [end, partition])
        assert_found(found, [f"order.events/{partition}"], UNFINISHED, mutation=mutation)


@both(mutations.OFFSETS_FIRST)
def test_the_checker_sees_an_event_that_was_lost_between_offset_and_transaction(
    mutation: str,
    shop: Shop,
    shelves: Shelves,
    log: ForeignClient,
    armed: Path,
    checker: SoakChecker,
    new_findings: Found,
):
    customer, product = shop.visitor(), shelves.product(100)
    with running_as("product-worker", armed, mutation):
        killed = control.pid("product-worker")
        arm(armed, "product-worker", BEFORE_HANDLING)
        order = customer.place({product: 3})
        control.wait_restarted("product-worker", killed, timeout=PATIENT_SECONDS)
        if mutation == NO_MUTATION:
            customer.wait_ended(order, "CONFIRMED", PATIENT_SECONDS)
            wait_for_rest(checker)
        else:
            wait_for_rest_of_messages(checker)
        assert_found(new_findings(), [order], LOST, UNFINISHED, mutation=mutation)
        customer.cancel(order)  # so that it ends after all
        customer.wait_ended(order, "CANCELED", PATIENT_SECONDS)


@both(mutations.SKIP_LOCKED)
def test_the_checker_sees_events_of_a_key_that_two_relays_publish_in_the_wrong_order(
    mutation: str,
    shop: Shop,
    shelves: Shelves,
    log: ForeignClient,
    armed: Path,
    checker: SoakChecker,
    new_findings: Found,
):
    customer, product = shop.visitor(), shelves.product(100)
    with running_as("order-worker", armed, mutation):
        arm(armed, "order-worker", BEFORE_PRODUCE, "SIGSTOP")
        order = customer.place({product: 3})
        wait_frozen("order-worker")
        customer.cancel(order)
        with second_worker("order-worker"):
            awaited = "OrderCanceled to be published by the other relay"
            eventually(lambda: has(log, "order.events", order, "OrderCanceled"), awaited, seconds=PATIENT_SECONDS)
            control.kill("order-worker", "SIGCONT")
            customer.wait_ended(order, "CANCELED", PATIENT_SECONDS)
            wait_for_rest(checker)
        assert_found(new_findings(), [order], OUT_OF_ORDER, mutation=mutation)


def has(log: ForeignClient, topic: str, key: str, kind: str) -> bool:
    return any(record.type == kind for record in log.read(topic, key))


@both(mutations.KEY_GOES_ON)
def test_the_checker_sees_an_event_that_overtakes_a_parked_one(
    mutation: str,
    shop: Shop,
    shelves: Shelves,
    databases: Databases,
    log: ForeignClient,
    armed: Path,
    checker: SoakChecker,
    new_findings: Found,
):
    customer, product = shop.visitor(), shelves.product(100)
    with running_as("product-worker", armed, mutation):
        with closing(databases.connect("product")) as opened, opened.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT 1 FROM product_app_product WHERE id = %s FOR UPDATE", [product])
            order = customer.place({product: 3})
            parked = "SELECT 1 FROM messaging_parked_key WHERE key = %s"
            eventually(
                lambda: databases.ask("product", parked, [order]), "the key to be parked", seconds=PATIENT_SECONDS
            )
            customer.cancel(order)
            wait_taken(databases, log, order)
        customer.wait_ended(order, "CANCELED", PATIENT_SECONDS)
        wait_for_rest(checker)
        assert_found(new_findings(), [order], OUT_OF_ORDER, mutation=mutation)


def wait_taken(databases: Databases, log: ForeignClient, order: str) -> None:
    """Wait until product's worker has taken the cancellation in, be it into the queue or at once."""
    [_, canceled] = eventually(lambda: log.read("order.events", order)[1:] and log.read("order.events", order), "both")
    taken = "SELECT 1 FROM messaging_inbox WHERE event_id = %s"
    eventually(lambda: databases.ask("product", taken, [canceled.id]), "the cancellation to be taken in")
