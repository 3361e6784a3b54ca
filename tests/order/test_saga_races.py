"""Who comes first to an order wins: cancel, last success, deadline, operators and timers, two at once, both ways round.

Each race has a transaction that holds the order while the others queue up behind it in a known order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from contracts.order import OrderCanceled, OrderConfirmed
from messaging.testing import deliver, forget_published, published
from order_app import services
from order_app.models import OperatorAction, Saga, SagaHistory
from order_app.sql import lock_sagas
from tests.order.given import a_confirmed_order, an_order, coupon_restored, reduced, shape, stock_restored, used
from tests.order.test_concurrency import at_once
from tests.order.test_timers import END, LATE, we_are_at

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[[], Any]
SECONDS = 30.0
#: Not pg_stat_activity, which shows one transaction the same picture each time.
WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
UNDOING = ("CANCELED", "COMPENSATING", {"stock": "UNDOING", "coupon": "UNDOING"})


def in_turn(order_id: UUID, *calls: Call) -> list[Any]:
    """Run the calls in a thread each, all of them waiting for the order, in this order; return their results."""
    results: list[Any] = [None] * len(calls)
    threads = [threading.Thread(target=_keep, args=(results, *pair)) for pair in enumerate(calls)]
    with transaction.atomic():
        assert list(lock_sagas([order_id])) == [order_id]
        for number, thread in enumerate(threads, start=1):
            thread.start()
            wait_for(lambda: waiting() == number)  # noqa: B023
    for thread in threads:
        thread.join(SECONDS)
    return results


def _keep(results: list[Any], number: int, call: Call) -> None:
    try:
        results[number] = call()
    finally:
        connection.close()


def waiting() -> int:
    """Return how many sessions wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return int(cursor.fetchone()[0])


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true; AssertionError after a long time."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


@contextmanager
def during(call: Call) -> Iterator[None]:
    """Run a call in another thread's transaction, which is open for the with block and is then committed."""
    done, end = threading.Event(), threading.Event()

    def run() -> None:
        with transaction.atomic():
            call()
            done.set()
            end.wait(SECONDS)

    thread = threading.Thread(target=_keep, args=([None], 0, run))
    thread.start()
    assert done.wait(SECONDS)
    try:
        yield
    finally:
        end.set()
        thread.join(SECONDS)


def cancel(order_id: UUID) -> Call:
    """Return the customer's cancel."""

    def run() -> None:
        with transaction.atomic():
            services.cancel_order(order_id=order_id, user_id=uuid4())

    return run


def compensate(order_id: UUID) -> Call:
    """Return the operator's cancel; it returns the outcome."""

    def run() -> str:
        with transaction.atomic():
            [result] = services.compensate(order_ids=[order_id], actor="kim", reason="asked by phone")
        return result.outcome

    return run


def sweep(*order_ids: UUID) -> Call:
    """Return the deadline's sweep; it returns how many it canceled."""

    def run() -> int:
        with transaction.atomic():
            return services.cancel_overdue(order_ids=order_ids, end_offsets=END, now=timezone.now() + LATE)

    return run


def ask_again(*order_ids: UUID) -> Call:
    """Return the undo timer; it returns for how many it asked."""

    def run() -> int:
        with transaction.atomic():
            return services.ask_undo_again(order_ids=order_ids, now=timezone.now() + timedelta(seconds=31))

    return run


@pytest.fixture
def almost_done() -> UUID:
    """An order that lacks its last success, late, with nothing of ours in the way of its deadline."""
    order_id = an_order()
    deliver(reduced(order_id))
    forget_published()
    we_are_at(product=7, coupon=3)
    return order_id


def ends_compensated(order_id: UUID) -> bool:
    """Bring both undo answers; return whether that ends the saga without an alarm."""
    deliver(stock_restored(order_id), coupon_restored(order_id))
    saga = Saga.objects.get(order_id=order_id)
    return (saga.status, saga.flagged) == ("COMPENSATED", False)


def kinds() -> list[type]:
    """Return what was published of confirming and canceling."""
    return [type(event) for event in published() if isinstance(event, OrderConfirmed | OrderCanceled)]


def test_a_cancel_that_comes_before_the_last_success_is_all_that_is_published(almost_done: UUID) -> None:
    in_turn(almost_done, cancel(almost_done), lambda: deliver(used(almost_done)))
    assert (shape(almost_done), kinds()) == (UNDOING, [OrderCanceled])
    late = SagaHistory.objects.filter(saga_id=almost_done, event__contains="CouponUsed").get()
    assert (late.from_status, late.to_status, late.flagged) == ("UNDOING", "UNDOING", False)
    assert ends_compensated(almost_done)


def test_a_cancel_that_comes_after_the_last_success_cancels_a_confirmed_order(almost_done: UUID) -> None:
    in_turn(almost_done, lambda: deliver(used(almost_done)), cancel(almost_done))
    assert (shape(almost_done), kinds()) == (UNDOING, [OrderConfirmed, OrderCanceled])
    assert ends_compensated(almost_done)


def test_a_deadline_that_comes_before_the_last_success_cancels(almost_done: UUID) -> None:
    success = threading.Thread(target=_keep, args=([None], 0, lambda: deliver(used(almost_done))))
    with during(sweep(almost_done)):
        success.start()
        wait_for(lambda: waiting() == 1)
    success.join(SECONDS)
    assert (shape(almost_done), kinds()) == (UNDOING, [OrderCanceled])
    assert ends_compensated(almost_done)


def test_a_deadline_that_comes_while_the_last_success_is_handled_cancels_nothing(almost_done: UUID) -> None:
    with during(lambda: deliver(used(almost_done))):
        assert at_once(sweep(almost_done)) == [0]
    assert sweep(almost_done)() == 0
    assert (shape(almost_done)[:2], kinds()) == (("CONFIRMED", "COMPLETED"), [OrderConfirmed])


@pytest.mark.parametrize("operator_first", [True, False])
def test_an_operator_and_a_customer_who_cancel_at_once_publish_one_request(
    almost_done: UUID, operator_first: bool
) -> None:
    calls = [compensate(almost_done), cancel(almost_done)]
    results = in_turn(almost_done, *(calls if operator_first else reversed(calls)))
    assert (shape(almost_done), kinds()) == (UNDOING, [OrderCanceled])
    assert ("done" in results, "unchanged" in results) == (operator_first, not operator_first)
    assert Saga.objects.get().canceled_by == ("operator" if operator_first else published(OrderCanceled)[0].actor)
    assert OperatorAction.objects.get().results[0]["outcome"] == ("done" if operator_first else "unchanged")
    assert ends_compensated(almost_done)


def test_an_operators_cancel_before_the_last_success_is_not_reopened_by_it(almost_done: UUID) -> None:
    in_turn(almost_done, compensate(almost_done), lambda: deliver(used(almost_done)))
    assert (shape(almost_done), kinds()) == (UNDOING, [OrderCanceled])
    assert ends_compensated(almost_done)


@pytest.mark.parametrize("attempt", range(5))
def test_two_sweeps_at_once_cancel_each_late_order_once(attempt: int) -> None:
    ids = [an_order() for _ in range(12)]
    forget_published()
    we_are_at(product=7, coupon=3)
    first, second = at_once(sweep(*ids), sweep(*reversed(ids)))
    assert first + second + sweep(*ids)() == len(ids)
    assert sorted(event.order_id for event in published(OrderCanceled)) == sorted(ids)


@pytest.mark.parametrize("attempt", range(5))
def test_two_undo_timers_at_once_ask_for_each_undo_once(attempt: int) -> None:
    ids = [an_order() for _ in range(12)]
    for order_id in ids:
        cancel(order_id)()
    forget_published()
    first, second = at_once(ask_again(*ids), ask_again(*reversed(ids)))
    assert first + second + ask_again(*ids)() == len(ids)
    assert sorted(event.order_id for event in published(OrderCanceled)) == sorted(ids)


def test_a_cancel_while_every_step_is_pending_ends_whatever_the_participants_had_decided() -> None:
    order_id = an_order()
    cancel(order_id)()
    deliver(reduced(order_id), used(order_id))
    assert shape(order_id) == UNDOING
    assert ends_compensated(order_id)


def test_a_confirmed_order_that_is_canceled_is_unfinished_until_all_is_undone() -> None:
    order_id = a_confirmed_order()
    finished = [Saga.objects.get().finished_at]
    cancel(order_id)()
    finished.append(Saga.objects.get().finished_at)
    assert ends_compensated(order_id)
    finished.append(Saga.objects.get().finished_at)
    assert [bool(at) for at in finished] == [True, False, True]


def test_a_second_cancel_changes_nothing_whether_steps_are_undone_or_not() -> None:
    order_id = an_order()
    cancel(order_id)()
    rows = SagaHistory.objects.count()
    cancel(order_id)()
    deliver(stock_restored(order_id))
    cancel(order_id)()
    assert shape(order_id) == ("CANCELED", "COMPENSATING", {"stock": "UNDONE", "coupon": "UNDOING"})
    deliver(coupon_restored(order_id))
    cancel(order_id)()
    assert (shape(order_id)[1], kinds()) == ("COMPENSATED", [OrderCanceled])
    assert SagaHistory.objects.count() == rows + 3
