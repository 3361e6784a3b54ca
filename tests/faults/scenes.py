"""The conditions under which each rule of the product is needed. A scene ends at rest, as far as the product can.

It returns what the checker has found meanwhile: nothing, unless the product runs without the rule (`mutated`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from stack import control
from tests.faults.checker import SoakChecker
from tests.faults.crash_points import AFTER_COMMIT, BEFORE_HANDLING, BEFORE_PRODUCE, PROCESS, arm
from tests.faults.findings import Finding
from tests.faults.records import FOREIGN
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient, Record
from tests.journeys.processes import second_worker
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.waiting import eventually

REPAIR = """
    UPDATE messaging_consumer_position SET next_offset = %s, stopped_reason = NULL, stopped_at = NULL
    WHERE topic = 'order.events' AND partition = %s
"""
PATIENT_SECONDS = 120.0


@dataclass
class Stage:
    """What a scene plays with: the running stack, its checker, and what that finds since the test began."""

    shop: Shop
    shelves: Shelves
    databases: Databases
    log: ForeignClient
    armed: Path
    checker: SoakChecker
    new_findings: Callable[[], list[Finding]]

    def customer_and_product(self) -> tuple[Person, str]:
        """Return somebody who orders, and a product with a hundred pieces."""
        return self.shop.visitor(), self.shelves.product(100)

    def wait_for_rest(self) -> None:
        """Wait until nothing goes on any more."""
        eventually(lambda: not self.checker.unrest(), "rest", seconds=PATIENT_SECONDS, state=self.checker.unrest)

    def wait_for_messages(self) -> None:
        """Wait until all that was published is handled, whatever came of it."""
        checker = self.checker
        eventually(lambda: not checker.on_the_way(), "every message", seconds=PATIENT_SECONDS, state=checker.on_the_way)

    def created(self, order: str) -> Record:
        """Return the order's first event as it stands in the log."""
        return eventually(lambda: self.log.read("order.events", order), "OrderCreated in the log")[0]


@dataclass(frozen=True)
class Seen:
    """What the checker found in a scene, and the names of those whom it was about."""

    findings: list[Finding]
    subjects: list[str]

    def kinds(self) -> set[str]:
        """Return the kinds of the findings about the subjects."""
        names = self.subjects
        return {each.kind for each in self.findings for name in names if name == each.subject or name in each.sentence}


Scene = Callable[[Stage, bool], Seen]


def an_event_comes_again(stage: Stage, mutated: bool) -> Seen:
    """A record of an order's creation is delivered three times."""
    customer, product = stage.customer_and_product()
    order = customer.place({product: 3})
    customer.wait_ended(order, "CONFIRMED", PATIENT_SECONDS)
    stage.log.publish_again(stage.created(order), 2)
    stage.wait_for_messages()
    return Seen(stage.new_findings(), [order, product])


def two_sources_have_one_id(stage: Stage, mutated: bool) -> Seen:
    """An order is asked for again by another source, under the id that the event of another order has."""
    customer, product = stage.customer_and_product()
    order, other = (customer.place({product: 3}) for _ in range(2))
    for each in (order, other):
        customer.wait_ended(each, "CONFIRMED", PATIENT_SECONDS)
    request = stage.created(order)
    headers = request.headers | {"ce_id": stage.created(other).id, "ce_source": FOREIGN, "ce_causationid": request.id}
    stage.log.publish(request.topic, request.key, request.value, headers)
    stage.wait_for_messages()
    return Seen(stage.new_findings(), [order])


def a_frozen_worker_wakes(stage: Stage, mutated: bool) -> Seen:
    """A worker freezes with a batch in hand, and wakes when another one has handled it."""
    customer, product = stage.customer_and_product()
    arm(stage.armed, "product-worker", BEFORE_HANDLING, "SIGSTOP")
    order = customer.place({product: 3})
    partition = stage.created(order).partition
    wait_frozen("product-worker")
    with another_worker("product-worker"):
        customer.wait_ended(order, "CONFIRMED", PATIENT_SECONDS)
        stage.wait_for_rest()
        end = stage.log.end("order.events", partition)
        what = "the offset to be committed"
        eventually(lambda: stage.log.group_offset("product", "order.events", partition) == end, what)
        # The woken worker freezes again, before it comes by what it has missed: that would hide where it left the
        # position. If it died, the one that is started in its stead would come by it too.
        file = arm(stage.armed, "product-worker", AFTER_COMMIT, "SIGSTOP")
        control.kill("product-worker", "SIGCONT")
        eventually(lambda: not file.exists(), "the woken worker to commit", seconds=PATIENT_SECONDS)
        if not mutated:
            stage.wait_for_rest()
        found = stage.new_findings()
    stage.databases.change("product", REPAIR, [end, partition])
    if not mutated:
        wait_frozen("product-worker")
        control.kill("product-worker", "SIGCONT")
    return Seen(found, [f"order.events/{partition}"])


def another_worker(name: str) -> AbstractContextManager[int]:
    """Run another worker like `name`, the same mutation in it, for a with block; who arms `name` does not mean it."""
    return second_worker(name, variables={PROCESS: f"{name}-second"})


def wait_frozen(name: str) -> int:
    """Wait until a process of the stack has stopped itself; return its id."""
    pid = control.pid(name)
    eventually(
        lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"{name} to freeze", seconds=PATIENT_SECONDS
    )
    return pid


def a_worker_dies_before_it_handles(stage: Stage, mutated: bool) -> Seen:
    """A worker is killed with a batch in hand."""
    customer, product = stage.customer_and_product()
    killed = control.pid("product-worker")
    arm(stage.armed, "product-worker", BEFORE_HANDLING)
    order = customer.place({product: 3})
    control.wait_restarted("product-worker", killed, timeout=PATIENT_SECONDS)
    if mutated:
        stage.wait_for_messages()
    else:
        customer.wait_ended(order, "CONFIRMED", PATIENT_SECONDS)
        stage.wait_for_rest()
    found = stage.new_findings()
    customer.cancel(order)  # so that it ends after all
    customer.wait_ended(order, "CANCELED", PATIENT_SECONDS)
    return Seen(found, [order])


def a_frozen_relay_wakes(stage: Stage, mutated: bool) -> Seen:
    """A relay freezes with rows in hand, and wakes when another one has sent what came after them."""
    customer, product = stage.customer_and_product()
    arm(stage.armed, "order-worker", BEFORE_PRODUCE, "SIGSTOP")
    order = customer.place({product: 3})
    wait_frozen("order-worker")
    customer.cancel(order)
    with another_worker("order-worker"):
        what = "OrderCanceled to be published by the other relay"
        eventually(lambda: has(stage.log, order, "OrderCanceled"), what, seconds=PATIENT_SECONDS)
        control.kill("order-worker", "SIGCONT")
        customer.wait_ended(order, "CANCELED", PATIENT_SECONDS)
        stage.wait_for_rest()
    return Seen(stage.new_findings(), [order])


def has(log: ForeignClient, order: str, kind: str) -> bool:
    return any(record.type == kind for record in log.read("order.events", order))


def a_parked_event_is_followed(stage: Stage, mutated: bool) -> Seen:
    """An event is parked, and another one of its key comes meanwhile."""
    customer, product = stage.customer_and_product()
    with closing(stage.databases.connect("product")) as opened, opened.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT 1 FROM product_app_product WHERE id = %s FOR UPDATE", [product])
        order = customer.place({product: 3})
        parked, ask = "SELECT 1 FROM messaging_parked_key WHERE key = %s", stage.databases.ask
        eventually(lambda: ask("product", parked, [order]), "the key to be parked", seconds=PATIENT_SECONDS)
        customer.cancel(order)
        wait_taken(stage, order)
    customer.wait_ended(order, "CANCELED", PATIENT_SECONDS)
    stage.wait_for_rest()
    return Seen(stage.new_findings(), [order])


def wait_taken(stage: Stage, order: str) -> None:
    """Wait until product's worker has taken the cancellation in, be it into the queue or at once."""
    read, taken = stage.log.read, "SELECT 1 FROM messaging_inbox WHERE event_id = %s"
    [_, canceled] = eventually(lambda: read("order.events", order)[1:] and read("order.events", order), "both")
    eventually(lambda: stage.databases.ask("product", taken, [canceled.id]), "the cancellation to be taken in")
