"""A record that nobody can read: its key waits for an operator, others go on, and then all of it ends in order."""

from __future__ import annotations

import json

import pytest

from tests.journeys.consistency import Checker
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient, Record
from tests.journeys.operator import LETTERS, Operator
from tests.journeys.processes import manage
from tests.journeys.shop import Person, Shelves
from tests.journeys.waiting import eventually

#: Those who subscribe to OrderCreated, so that a broken one is a dead letter there.
READERS = ("product", "coupon")
BROKEN = b'{"order_id": 7, "lines": [<script>'
OPEN = "SELECT count(*) FROM messaging_dead_letter WHERE event_id = %s AND resolved_at IS NULL"
QUEUED = 'SELECT event_id, state FROM messaging_inbox WHERE key = %s AND raw IS NOT NULL ORDER BY "offset"'
LEDGER = "SELECT verb, reason FROM messaging_operator_action ORDER BY id DESC LIMIT 1"


@pytest.fixture
def order(customer: Person, shelves: Shelves) -> str:
    """A confirmed order of three pieces out of ten."""
    product = shelves.product(10)
    placed = customer.place({product: 3})
    customer.wait_ended(placed, "CONFIRMED")
    return placed


@pytest.fixture
def broken(order: str, log: ForeignClient, checker: Checker, databases: Databases) -> Record:
    """A record of the order's key that nobody can read, a dead letter at each reader."""
    headers = {"ce_specversion": "1.0", "ce_id": f"broken-{order}", "ce_source": "/order", "foreign": "kept as it is"}
    log.publish("order.events", order, BROKEN, {**headers, "ce_type": "order.OrderCreated.v1"})
    [record] = [each for each in log.read("order.events", order) if each.value == BROKEN]
    checker.injected.dead_letters.add(event_id(record))
    for service in READERS:
        eventually(lambda at=service: is_open(databases, at, record), f"the dead letter of {service}")
    return record


def event_id(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def is_open(databases: Databases, service: str, record: Record) -> bool:
    return bool(databases.value(service, OPEN, [event_id(record)]))


def test_the_key_of_a_broken_record_waits_for_an_operator_and_then_all_of_it_ends_in_order(
    order: str, broken: Record, customer: Person, shelves: Shelves, log: ForeignClient, databases: Databases, variables
):
    [line] = customer.order(order)["lines"]
    customer.cancel(order)
    eventually(lambda: len(databases.ask("product", QUEUED, [order])) > 1, "OrderCanceled to wait behind it")
    another = customer.place({line["product_id"]: 1})
    customer.wait_ended(another, "CONFIRMED")

    assert [state for _, state in databases.ask("product", QUEUED, [order])][:2] == ["dead", "waiting"]
    assert customer.saga(order)["status"] == "COMPENSATING"
    assert shelves.stock(line["product_id"]) == 6

    operator = Operator(variables, "product")
    assert event_id(broken) in operator.page(LETTERS)
    assert "Done: " in operator.skip(event_id(broken), "-", "a foreign record")
    skipped = manage("coupon", "skip_dead_letters", "--key", order, "--execute", "--reason", "a foreign record")
    assert skipped.returncode == 0, skipped.stderr

    customer.wait_ended(order, "CANCELED")
    assert shelves.stock(line["product_id"]) == 9
    answers = [record.type for record in log.read("product.events", order)]
    assert answers[:2] == ["StockReduced", "StockRestored"]
    for service in READERS:
        eventually(lambda at=service: not databases.ask(at, QUEUED, [order]), f"{service}'s queue to be empty")
        assert databases.ask(service, LEDGER) == [("skip", "a foreign record")]


def test_a_dead_letter_is_told_with_the_original_key_value_and_headers(
    order: str, broken: Record, log: ForeignClient, databases: Databases, variables
):
    for service in READERS:
        [letter] = eventually(lambda at=service: log.read(f"{at}.dead-letters", order), f"the letter of {service}")
        assert (letter.key, letter.value) == (order, BROKEN)
        assert letter.headers.items() >= broken.headers.items()
        assert (letter.headers["dl_service"], letter.headers["dl_handler"]) == (service, "-")
        place = "/".join(letter.headers[f"dl_{name}"] for name in ("topic", "partition", "offset"))
        assert (place, letter.headers["dl_reason"]) == (event_id(broken), "schema_violation")
        manage(service, "skip_dead_letters", "--key", order, "--execute", "--reason", "the end of a journey")
        assert not is_open(databases, service, broken)


def test_a_letter_that_is_edited_into_what_it_should_have_been_changes_nothing_twice(
    order: str, broken: Record, customer: Person, shelves: Shelves, log: ForeignClient, databases: Databases
):
    [created] = [
        each for each in log.read("order.events", order) if each.value != BROKEN and each.type == "OrderCreated"
    ]
    [line] = customer.order(order)["lines"]
    wrong = manage("product", "edit_dead_letter", event_id(broken), "-", "--value", "{}", "--reason", "a journey")
    assert (wrong.returncode, "missing required field" in wrong.stdout) == (12, True), wrong.stderr

    for service in READERS:
        value = json.dumps(created.data)
        edited = manage(service, "edit_dead_letter", event_id(broken), "-", "--value", value, "--reason", "a journey")
        assert edited.returncode == 0, edited.stdout + edited.stderr
        eventually(lambda at=service: not databases.ask(at, QUEUED, [order]), f"{service} to take it")

    eventually(lambda: len(log.read("product.events", order)) == 2, "the request that came again to be answered again")
    assert [each.type for each in log.read("product.events", order)] == ["StockReduced", "StockReduced"]
    assert shelves.stock(line["product_id"]) == 7
    assert customer.order(order)["status"] == "CONFIRMED"
