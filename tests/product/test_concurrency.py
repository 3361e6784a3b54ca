"""Several consumers at once: the same products in opposite orders, and the same orders twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from messaging.models import OutboxRow
from product_app import services
from product_app.domain import Request
from product_app.models import Product, StockDecision
from product_app.selectors import list_unbalanced_products
from saga.participant import Incoming

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 40


def at_once(*work: Callable[[], None]) -> None:
    """Run these in threads that start together, ROUNDS times each; what one of them raises is raised here."""
    barrier = Barrier(len(work))

    def loop(each: Callable[[], None]) -> None:
        barrier.wait()
        try:
            for _ in range(ROUNDS):
                each()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as pool:
        for future in [pool.submit(loop, each) for each in work]:
            future.result(timeout=60)


def answer_batch(requests: list[Request]) -> None:
    with transaction.atomic():
        services.answer_order_events(requests=[(request, None) for request in requests])


def test_opposite_line_orders_do_not_deadlock(make_product: Callable[..., Product]) -> None:
    products = [make_product(10_000, f"Product {number}").id for number in range(6)]

    def place(ids: list[UUID]) -> Callable[[], None]:
        lines = tuple((product_id, 1) for product_id in ids)
        return lambda: answer_batch([Request(Incoming.CREATED, uuid4(), lines)])

    at_once(place(products), place(products[::-1]), place(products), place(products[::-1]))

    assert list_unbalanced_products() == []
    assert {product.quantity for product in Product.objects.all()} == {10_000 - 4 * ROUNDS}


def test_the_same_orders_handled_twice_at_once_are_decided_once(make_product: Callable[..., Product]) -> None:
    tea = make_product(200).id
    orders = [uuid4() for _ in range(60)]
    choose = random.Random(7)

    def shuffle() -> None:
        chosen = choose.sample(orders, 20)
        answer_batch([Request(choose.choice(list(Incoming)), order, ((tea, 5),)) for order in chosen])

    at_once(shuffle, shuffle, shuffle)

    assert list_unbalanced_products() == []
    assert StockDecision.objects.count() == len(orders)
    assert not _contradictions()


def test_a_cancel_handled_twice_at_once_gives_back_once(make_product: Callable[..., Product]) -> None:
    tea = make_product(ROUNDS).id
    orders = [uuid4() for _ in range(ROUNDS)]
    answer_batch([Request(Incoming.CREATED, order, ((tea, 1),)) for order in orders])

    def cancel() -> Callable[[], None]:
        following = iter(orders)
        return lambda: answer_batch([Request(Incoming.CANCELED, next(following))])

    at_once(cancel(), cancel(), cancel(), cancel())

    assert list_unbalanced_products() == []
    assert Product.objects.get().quantity == ROUNDS


def test_the_last_piece_goes_to_one_order(make_product: Callable[..., Product]) -> None:
    tea = make_product(ROUNDS).id

    def place() -> None:
        answer_batch([Request(Incoming.CREATED, uuid4(), ((tea, 1),))])

    at_once(place, place)

    assert Product.objects.get().quantity == 0
    assert StockDecision.objects.filter(decision="HELD").count() == ROUNDS


def test_adjusting_while_orders_are_held_loses_nothing(make_product: Callable[..., Product]) -> None:
    tea = make_product(ROUNDS * 10).id

    def place() -> None:
        answer_batch([Request(Incoming.CREATED, uuid4(), ((tea, 1),))])

    def adjust() -> None:
        with transaction.atomic():
            services.adjust_stock(product_id=tea, delta=3, reason="delivery", actor="test")

    at_once(place, adjust, place)

    assert list_unbalanced_products() == []
    assert Product.objects.get().quantity == ROUNDS * (10 + 3 - 2)


def _contradictions() -> list[Any]:
    """Orders with answers both that they were given back and that there was nothing to give back."""
    rows = OutboxRow.objects.filter(type="product.StockRestored.v1").values_list("key", "data")
    answers_by_key: dict[str, set[bytes]] = {}
    for key, data in rows:
        answers_by_key.setdefault(key, set()).add(bytes(data))
    return [key for key, answers in answers_by_key.items() if len(answers) > 1]
