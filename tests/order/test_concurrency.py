"""Two at once on the real database: one order is handled by one transaction at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from contracts.order import OrderCanceled, OrderConfirmed, OrderCreated
from messaging.testing import deliver, published
from order_app import services
from order_app.models import Order
from order_app.sql import lock_sagas
from tests.order.conftest import client_of
from tests.order.given import a_product, an_order, coupon_restored, reduced, shape, stock_restored, used

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in a thread each, from a common start; return what they returned, or raised."""
    start, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            start.wait()
            results[number] = call()
        except Exception as error:
            results[number] = error  # type: ignore[call-overload]
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.parametrize("attempt", range(10))
def test_a_cancel_that_races_the_last_success_ends_with_one_outcome_and_everything_undone(attempt: int) -> None:
    order_id = an_order()
    deliver(reduced(order_id))

    def cancel() -> None:
        with transaction.atomic():
            services.cancel_order(order_id=order_id, user_id=uuid4())

    assert at_once(cancel, lambda: deliver(used(order_id))) == [None, None]
    assert shape(order_id) == ("CANCELED", "COMPENSATING", {"stock": "UNDOING", "coupon": "UNDOING"})
    kinds = [type(event) for event in published() if isinstance(event, OrderConfirmed | OrderCanceled)]
    assert kinds in ([OrderCanceled], [OrderConfirmed, OrderCanceled])
    deliver(stock_restored(order_id), coupon_restored(order_id))
    assert shape(order_id)[1] == "COMPENSATED"


def test_many_cancels_at_once_publish_one_request() -> None:
    order_id = an_order()

    def cancel() -> None:
        with transaction.atomic():
            services.cancel_order(order_id=order_id, user_id=uuid4())

    assert at_once(*[cancel] * 6) == [None] * 6
    assert len(published(OrderCanceled)) == 1


def test_batches_that_share_orders_in_different_sequences_do_not_deadlock() -> None:
    product_id = a_product()
    ids = [an_order(product_id=product_id) for _ in range(40)]
    results = at_once(
        lambda: deliver(*[reduced(order_id) for order_id in ids]),
        lambda: deliver(*[used(order_id) for order_id in reversed(ids)]),
        lambda: deliver(*[used(order_id) for order_id in ids[::2] + ids[1::2]]),
    )
    assert results == [None] * 3
    assert {shape(order_id)[0] for order_id in ids} == {"CONFIRMED"}
    assert len(published(OrderConfirmed)) == 40


def test_the_same_key_at_once_places_one_order_and_answers_all_alike() -> None:
    user_id, product_id = uuid4(), a_product()
    body = {"lines": [{"product_id": str(product_id), "quantity": 1}]}

    def place() -> tuple[int, str]:
        headers = {"Idempotency-Key": "k"}
        response = client_of(user_id).post("/api/v1/orders", body, format="json", headers=headers)
        return response.status_code, response.json()["id"]

    results = at_once(*[place] * 6)
    assert len(set(results)) == 1
    assert results[0][0] == 202
    assert (Order.objects.count(), len(published(OrderCreated))) == (1, 1)


def test_a_timer_leaves_an_order_alone_that_somebody_has_in_hand() -> None:
    order_id = an_order()
    with transaction.atomic():
        assert list(lock_sagas([order_id])) == [order_id]

        def sweep() -> list[object]:
            with transaction.atomic():
                return list(lock_sagas([order_id], skip_locked=True))

        assert at_once(sweep) == [[]]
