"""Workers that die or freeze at any moment: nothing is lost, nothing is done twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

from messaging.outbox.shard_locks import LOCK_SPACE
from stack import control
from tests.journeys.consistency import Checker
from tests.journeys.crowd import Crowd
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.processes import frozen, second_worker, stopped
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.waiting import eventually

ROUNDS = 3
WORKERS = ("product-worker", "order-worker", "coupon-worker")
SHARDS = 8
DECISION = "SELECT decision FROM product_app_stockdecision WHERE order_id = %s"


def test_workers_killed_at_random_moments_under_load_lose_and_double_nothing(shop: Shop, shelves: Shelves):
    product, scarce, customer = shelves.product(10_000), shelves.product(20), shop.visitor()
    coupons = iter([shelves.coupon(customer) for _ in range(10)])
    chance = random.Random()
    lines = ({product: 1}, {product: 2, scarce: 1}, {scarce: 1})

    with Crowd(lambda: customer.try_to_place(chance.choice(lines), next(coupons, None)), 0.05) as crowd:
        for _ in range(ROUNDS):
            for worker in chance.sample(WORKERS, len(WORKERS)):
                crowd.wait_for(chance.randint(1, 25))
                control.kill(worker)
            ended(customer, crowd.orders[-1])

    assert crowd.refused == []
    ends = Counter(ended(customer, order) for order in crowd.orders)
    assert ends["CONFIRMED"] and ends.total() == len(crowd.orders)
    assert shelves.stock(scarce) == 0 or not ends["CANCELED"]


def ended(person: Person, order: str) -> str:
    """Wait until the order is no longer pending and return its status."""
    eventually(lambda: person.order(order)["status"] != "PENDING", f"order {order} to end")
    return str(person.order(order)["status"])


@contextmanager
def row_locked(databases: Databases, product: str) -> Iterator[None]:
    """Hold a product's row, so that a batch that needs it stands in the middle of its transaction."""
    with closing(databases.connect("product")) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT 1 FROM product_app_product WHERE id = %s FOR UPDATE", [product])
        yield


def waits_for_a_row(databases: Databases) -> bool:
    """Say whether product's consumer waits for somebody's lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'product:app'"
    return bool(databases.value("product", query))


def test_a_worker_killed_before_its_commit_applies_the_event_when_it_is_back(
    shop: Shop, shelves: Shelves, databases: Databases, log: ForeignClient
):
    customer, product = shop.visitor(), shelves.product(10)
    with row_locked(databases, product):
        order = customer.place({product: 3})
        eventually(lambda: waits_for_a_row(databases), "the worker to be inside its transaction")
        control.kill("product-worker")

    customer.wait_ended(order, "CONFIRMED")
    assert shelves.stock(product) == 7
    assert [record.type for record in log.read("product.events", order)] == ["StockReduced"]


def test_a_worker_killed_after_its_commit_and_before_kafka_knows_applies_nothing_twice(
    shop: Shop, shelves: Shelves, databases: Databases, log: ForeignClient
):
    customer, product = shop.visitor(), shelves.product(10)
    order = customer.place({product: 3})
    eventually(lambda: databases.ask("product", DECISION, [order]), "the commit")
    control.kill("product-worker")
    with stopped("product-worker"):
        created = log.read("order.events", order)[0]
        place = (created.topic, created.partition)
        eventually(lambda: log.set_group_offset("product", *place, created.offset), "the killed member to be given up")
        assert log.group_offset("product", *place) == created.offset

    customer.wait_ended(order, "CONFIRMED")
    assert shelves.stock(product) == 7
    assert {record.type for record in log.read("product.events", order)} == {"StockReduced"}


@contextmanager
def deletes_held_up(databases: Databases) -> Iterator[None]:
    """Let no row leave product's outbox: the relay has the acknowledgement, and waits for its DELETE."""
    hold = """
        CREATE FUNCTION journeys_hold() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(3); RAISE EXCEPTION 'held up by a journey'; END $$;
        CREATE TRIGGER journeys_hold BEFORE DELETE ON messaging_outbox EXECUTE FUNCTION journeys_hold()
    """
    databases.change("product", hold)
    try:
        yield
    finally:
        databases.change("product", "DROP FUNCTION journeys_hold() CASCADE")


def test_a_worker_killed_between_producing_and_deleting_sends_again_and_the_effect_is_one(
    shop: Shop, shelves: Shelves, databases: Databases, log: ForeignClient
):
    customer, product = shop.visitor(), shelves.product(10)
    with deletes_held_up(databases):
        order = customer.place({product: 3})
        sent, *_ = eventually(lambda: log.read("product.events", order), "the answer in the log")
        killed = control.kill("product-worker")
        left = "SELECT event_id FROM messaging_outbox WHERE key = %s"
        assert databases.ask("product", left, [order]) == [(sent.id,)]
        control.wait_restarted("product-worker", killed)

    customer.wait_ended(order, "CONFIRMED")
    again = eventually(lambda: log.read("product.events", order)[1:], "the answer to be sent again")
    assert {record.id for record in again} == {sent.id}
    assert shelves.stock(product) == 7


def owners(databases: Databases) -> dict[int, int]:
    """Return how many of order's relay shards each connection serves, by the server's process id."""
    query = "SELECT pid, count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted GROUP BY pid"
    return {pid: count for pid, count in databases.ask("order", query, [LOCK_SPACE])}


def test_a_frozen_relay_hands_its_shards_over_and_may_wake(
    shop: Shop, shelves: Shelves, databases: Databases, checker: Checker
):
    product, customer = shelves.product(10_000), shop.visitor()
    [first] = eventually(lambda: owners(databases), "the relay")

    with second_worker("order-worker"):
        eventually(lambda: sorted(owners(databases).values()) == [SHARDS // 2] * 2, "the shards to be shared")
        with Crowd(lambda: customer.try_to_place({product: 1}), 0.1) as crowd:
            crowd.wait_for(5)
            with frozen("order-worker"):
                eventually(lambda: list(owners(databases).values()) == [SHARDS], "the shards to be handed over")
                assert first not in owners(databases)
                crowd.wait_for(5)
                for order in crowd.orders[:]:
                    customer.wait_ended(order, "CONFIRMED")
            eventually(lambda: sorted(owners(databases).values()) == [SHARDS // 2] * 2, "the shards to be shared again")
            crowd.wait_for(5)
        for order in crowd.orders:
            customer.wait_ended(order, "CONFIRMED")

    eventually(lambda: list(owners(databases).values()) == [SHARDS], "the shards to come back")
    assert crowd.refused == []
    assert shelves.stock(product) == 10_000 - len(crowd.orders)
