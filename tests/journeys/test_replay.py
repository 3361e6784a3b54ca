"""Replay applies what was never applied, and nothing else."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.journeys.consistency import Checker
from tests.journeys.crowd import Crowd
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.processes import manage, manage_many
from tests.journeys.shop import Shelves, Shop

EVERYTHING = [
    ("product", "order.events"),
    ("coupon", "order.events"),
    ("user", "order.events"),
    ("order", "product.events"),
    ("order", "coupon.events"),
]
TOPICS = ("order.events", "product.events", "coupon.events")


def replay(service: str, topic: str, *options: str) -> dict[str, tuple[int, int, int]]:
    """Run a replay of the whole topic, which has to succeed; return (applied, done, refused) by event type."""
    run = manage(service, "replay_topic", topic, "--from-earliest", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = re.findall(r"^(\w+\.\w+\.v\d+)\s+(\d+)\s+(\d+)\s+(\d+)", run.stdout, re.MULTILINE)
    return {kind: (int(applied), int(done), int(refused)) for kind, applied, done, refused in rows}


@pytest.fixture(scope="module")
def orders_of_every_kind(shop: Shop, databases: Databases, checker: Checker) -> None:
    """A confirmed order, a refused one, and one that was confirmed and then canceled; all with coupons."""
    shelves, customer = Shelves(shop.staff(), databases), shop.visitor()
    plenty, scarce = shelves.product(10), shelves.product(1)
    customer.wait_ended(customer.place({plenty: 2}, shelves.coupon(customer)), "CONFIRMED")
    customer.wait_ended(customer.place({scarce: 2}, shelves.coupon(customer)), "CANCELED")
    canceled = customer.place({plenty: 2}, shelves.coupon(customer))
    customer.wait_ended(canceled, "CONFIRMED")
    customer.cancel(canceled)
    customer.wait_ended(canceled, "CANCELED")
    checker.wait_for_rest()


@pytest.mark.parametrize(("service", "topic"), EVERYTHING)
def test_replaying_a_whole_topic_changes_no_row_and_publishes_nothing(
    service: str, topic: str, orders_of_every_kind: None, databases: Databases, log: ForeignClient
):
    before, ends = databases.dump(), log.ends(*TOPICS)

    counts = replay(service, topic, "--execute", "--reason", "a journey")

    assert counts and all((applied, refused) == (0, 0) for applied, _, refused in counts.values()), counts
    assert sum(done for _, done, _ in counts.values()) > 0
    assert databases.dump() == before
    assert databases.value(service, "SELECT count(*) FROM messaging_outbox") == 0
    assert log.ends(*TOPICS) == ends


def take_away(databases: Databases, order: str) -> None:
    """Undo by hand all that product's database knows of an order, as if its event had never been handled."""
    give_back = """
        UPDATE product_app_product p SET quantity = p.quantity + h.quantity
        FROM product_app_stockhold h WHERE h.product_id = p.id AND h.order_id = %s
    """
    statements = (
        (give_back, 1),
        ("DELETE FROM product_app_stockhold WHERE order_id = %s", 1),
        ("DELETE FROM product_app_stockdecision WHERE order_id = %s", 1),
        ("DELETE FROM messaging_inbox WHERE key = %s", 1),
    )
    for statement, rows in statements:
        assert databases.change("product", statement, [order]) == rows


def test_an_order_that_was_taken_away_by_hand_is_applied_again_and_no_other(
    orders_of_every_kind: None,
    shop: Shop,
    shelves: Shelves,
    checker: Checker,
    databases: Databases,
    log: ForeignClient,
):
    customer, product = shop.visitor(), shelves.product(10)
    order = customer.place({product: 3})
    customer.wait_ended(order, "CONFIRMED")
    log.publish_again(log.read("order.events", order)[0], 3)
    checker.wait_for_rest()
    before = databases.dump()
    take_away(databases, order)
    assert shelves.stock(product) == 10

    dry = replay("product", "order.events")
    assert shelves.stock(product) == 10
    counts = replay("product", "order.events", "--execute", "--reason", "taken away by hand")
    checker.wait_for_rest()

    assert dry == counts
    assert [applied for applied, _, _ in counts.values()].count(0) == len(counts) - 1
    assert counts["order.OrderCreated.v1"][0] == 1
    assert without_decision(databases.dump(), order) == without_decision(before, order)
    assert [record.type for record in log.read("product.events", order)] == ["StockReduced", "StockReduced"]


def without_decision(dump: dict[str, list[str]], order: str) -> dict[str, list[str]]:
    """Leave out the one row that says when it was decided, and the number of the hold row."""
    rows = {"product.product_app_stockdecision", "product.product_app_stockhold"}
    return {table: [row for row in texts if table not in rows or order not in row] for table, texts in dump.items()}


def test_a_replay_beside_the_live_consumers_changes_nothing(
    shop: Shop, shelves: Shelves, checker: Checker, databases: Databases
):
    customer, product = shop.visitor(), shelves.product(10_000)
    with Crowd(lambda: customer.try_to_place({product: 1}), 0.05) as crowd:
        crowd.wait_for(20)
        for service, topic in (("product", "order.events"), ("order", "product.events")):
            counts = replay(service, topic, "--execute", "--reason", "beside the live consumers")
            assert counts and all((applied, refused) == (0, 0) for applied, _, refused in counts.values()), counts
        crowd.wait_for(5)

    checker.wait_for_rest()
    assert shelves.stock(product) == 10_000 - len(crowd.orders)
    ends = "SELECT DISTINCT status FROM order_app_order WHERE user_id = %s"
    assert databases.ask("order", ends, [customer.id]) == [("CONFIRMED",)]


def test_a_dry_run_is_the_default_and_changes_nothing(
    orders_of_every_kind: None, databases: Databases, log: ForeignClient
):
    before, ends = databases.dump(), log.ends(*TOPICS)
    runs = "SELECT count(*) FROM messaging_replay_run"
    kept = databases.value("coupon", runs)

    run = manage("coupon", "replay_topic", "order.events", "--from-earliest")

    assert run.returncode == 0
    assert "dry run: nothing was changed" in run.stdout
    assert databases.dump() == before
    assert log.ends(*TOPICS) == ends
    assert databases.value("coupon", runs) == kept


#: What is asked for, the exit code, and a word of the message.
REFUSED = [
    (["order.evnts", "--from-earliest"], 3, "order.evnts"),
    (["order.events:77", "--from-earliest"], 4, "77"),
    (["order.events", "--from-offset", "1000000"], 5, "empty"),
    (["order.events", "--from-datetime", "2099-01-01T00:00:00Z"], 5, "empty"),
    (["order.events", "--from-datetime", "2026-01-01T00:00:00"], 6, "zone"),
    (["order.events", "--from-earliest", "--until-datetime", "2026-01-01T00:00:00"], 6, "zone"),
    (["order.events", "--from-offset", "-1"], 7, "start"),
    (["order.events", "--from-earliest", "--execute"], 8, "--reason"),
    (["order.events", "--from-earliest", "--execute", "--reason", " "], 8, "--reason"),
    (["order.events", "--from-earliest", "--handler", "product.nobody"], 9, "product.nobody"),
    (["order.events"], 2, "--from-earliest"),
    (["order.events", "--from-datetime", "yesterday"], 2, "yesterday"),
]


@pytest.fixture(scope="module")
def refusals(orders_of_every_kind: None) -> list[subprocess.CompletedProcess[str]]:
    """The runs of all that is refused."""
    return manage_many("product", [["replay_topic", *arguments] for arguments, _, _ in REFUSED])


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=[" ".join(arguments) for arguments, _, _ in REFUSED])
def test_a_replay_that_can_not_be_run_as_asked_says_why_with_its_own_exit_code(
    number: int, refusals: list[subprocess.CompletedProcess[str]]
):
    run, (_, code, message) = refusals[number], REFUSED[number]

    assert run.returncode == code, run.stdout + run.stderr
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_a_replay_from_before_the_logs_start_says_where_it_starts_now(
    shop: Shop, shelves: Shelves, checker: Checker, log: ForeignClient
):
    campaign = shelves.campaign()
    for _ in range(3):
        shop.visitor().call("POST", "coupon", f"/campaigns/{campaign}/claims")
    checker.wait_for_rest()
    *_, last = log.read("coupon.claims", campaign)
    log.delete_before(last.topic, last.partition, last.offset)
    place = f"{last.topic}:{last.partition}"

    refused = manage("coupon", "replay_topic", place, "--from-offset", str(last.offset - 1))

    assert refused.returncode == 7, refused.stdout + refused.stderr
    assert f"the oldest record is {last.offset}" in refused.stderr
    assert replay("coupon", place) == {"coupon.CouponClaimRequested.v1": (0, 1, 0)}
