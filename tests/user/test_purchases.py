"""The purchase history: order.events merged into one row per order, and GET /users/me/purchases."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from contracts.order import OrderCanceled, OrderConfirmed, OrderLine
from messaging import new_id
from messaging.testing import assert_same_however_delivered, deliver, states_in_every_order
from tests.user.conftest import client_of
from user_app import services
from user_app.domain import Ending, PurchaseState, next_state
from user_app.models import Purchase

LINES = (OrderLine(product_id=UUID(int=7), quantity=1, unit_price=Decimal(1)),)

pytestmark = pytest.mark.django_db(transaction=True)

BUYER = new_id()


def confirmed(order_id, *, total="12000", discount="0", currency="KRW", user_id=BUYER):
    return OrderConfirmed(
        order_id=order_id,
        user_id=user_id,
        lines=LINES,
        total=Decimal(total),
        discount=Decimal(discount),
        currency=currency,
    )


def canceled(order_id, *, user_id=BUYER):
    return OrderCanceled(order_id=order_id, user_id=user_id, lines=LINES, coupon_id=None, reason="customer", actor="x")


def state_of(order_id):
    return Purchase.objects.values_list("state", flat=True).filter(pk=order_id).first()


def rows():
    return list(Purchase.objects.order_by("pk").values())


def test_a_confirmed_order_counts_once_however_often_it_is_told():
    # Given an order
    order_id = new_id()
    # When its confirmation comes twice in a batch and again in another
    deliver(confirmed(order_id), confirmed(order_id))
    before = rows()
    deliver(confirmed(order_id))
    # Then there is one purchase, unchanged
    assert rows() == before
    assert state_of(order_id) == "COUNTED"


def test_a_canceled_order_counts_no_more_and_keeps_its_amounts():
    # Given a counted order
    order_id = new_id()
    deliver(confirmed(order_id, total="12000", discount="2000"))
    # When it is canceled
    deliver(canceled(order_id))
    # Then it does not count, and what it was about is still known
    purchase = Purchase.objects.get(pk=order_id)
    assert (purchase.state, purchase.total, purchase.discount) == ("CANCELED", 12000, 2000)
    assert purchase.canceled_at is not None


def states():
    return list(Purchase.objects.order_by("pk").values_list("pk", "state", "total", "discount"))


def test_purchases_end_the_same_however_their_events_are_delivered():
    # Given two orders, one of them canceled later
    first, second = sorted((new_id(), new_id()), key=str)
    # When their events come once, twice, one by one, or again after a crash
    assert_same_however_delivered(confirmed(first), confirmed(second), canceled(first), snapshot=states)
    # Then that makes no difference
    assert [state for _, state, *_ in states()] == ["CANCELED", "COUNTED"]


def test_a_canceled_order_does_not_count_in_whichever_order_its_events_come():
    # Given an order
    order_id = new_id()
    # When it is confirmed, canceled, and the confirmation is sent again, in every order
    events = [confirmed(order_id), canceled(order_id), confirmed(order_id)]
    ends = states_in_every_order(*events, snapshot=lambda: state_of(order_id))
    # Then it never counts
    assert set(ends.values()) == {"CANCELED"}


@pytest.mark.parametrize("first", [confirmed, canceled])
def test_a_cancellation_is_final_within_one_batch_too(first):
    # Given an order
    order_id = new_id()
    # When its cancellation and a confirmation come together
    deliver(first(order_id), canceled(order_id), confirmed(order_id))
    # Then it does not count
    assert state_of(order_id) == "CANCELED"


ORDERS = [UUID(int=n) for n in range(1, 4)]
EVENTS = st.lists(st.lists(st.tuples(st.sampled_from(ORDERS), st.sampled_from(Ending)), max_size=6), max_size=4)


@hypothesis_settings(max_examples=60, deadline=None)
@given(batches=EVENTS)
def test_the_sql_agrees_with_the_table_however_events_are_batched(batches):
    # Given nothing
    Purchase.objects.all().delete()
    # When any events come in any batches
    for batch in batches:
        deliver(*(confirmed(order) if ending is Ending.CONFIRMED else canceled(order) for order, ending in batch))
    # Then every order is in the state that the table gives for its own events, one by one
    for order in ORDERS:
        endings = [ending for batch in batches for each, ending in batch if each == order]
        expected: PurchaseState | None = reduce(next_state, endings, None)
        assert state_of(order) == expected


def test_a_batch_costs_one_statement(django_assert_num_queries):
    # When 200 orders arrive at once
    events = [confirmed(new_id()) for _ in range(200)]
    # Then one statement stores them (savepoint and commit are the transaction's)
    with django_assert_num_queries(1) if not connection.in_atomic_block else django_assert_num_queries(3):
        services.record_purchases(deliveries=_deliveries(events))
    assert Purchase.objects.count() == 200


def _deliveries(events):
    from datetime import UTC, datetime

    from messaging import Context, Delivery

    at = datetime.now(UTC)
    return [Delivery(event, Context("e", "", "", 0, 0, "", at, at, "", None, 1, {}, b"")) for event in events]


def test_an_empty_batch_does_nothing():
    # When no event arrives
    deliver()
    # Then nothing is stored
    assert rows() == []


def test_the_history_tells_orders_and_spent_by_currency(alice, as_alice):
    # Given purchases in two currencies, one canceled, and somebody else's
    gone = new_id()
    deliver(
        confirmed(new_id(), total="12000", discount="2000", user_id=alice.pk),
        confirmed(new_id(), total="500", user_id=alice.pk),
        confirmed(new_id(), total="19.99", discount="0.50", currency="USD", user_id=alice.pk),
        confirmed(gone, total="999999", user_id=alice.pk),
        canceled(gone, user_id=alice.pk),
        confirmed(new_id(), total="77", user_id=new_id()),
    )
    # When she asks
    body = as_alice.get("/api/v1/users/me/purchases").json()
    # Then only her orders that count are in it, with the digits of their currency
    assert body["orders"] == body["count"] == len(body["results"]) == 3
    assert body["spent"] == {"KRW": "10500", "USD": "19.49"}
    assert {result["total"] for result in body["results"]} == {"12000", "500", "19.99"}


def test_the_history_is_cut_into_pages_and_the_figures_are_of_the_whole(alice, as_alice):
    # Given five purchases
    deliver(*(confirmed(new_id(), total="100", user_id=alice.pk) for _ in range(5)))
    # When the last page of three is asked for
    body = as_alice.get("/api/v1/users/me/purchases?page=3&page_size=2").json()
    # Then it holds the rest, and the figures count all
    assert len(body["results"]) == 1
    assert body["next"] is None
    assert (body["orders"], body["spent"]) == (5, {"KRW": "500"})


@pytest.mark.parametrize("page", ["0", "4", "x", "99999999999999999999", "-1"])
def test_a_page_that_is_not_there_is_a_404(alice, as_alice, page):
    # When such a page is asked for
    response = as_alice.get(f"/api/v1/users/me/purchases?page={page}")
    # Then it is a problem
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_new_user_has_an_empty_history(alice):
    # Given a user who bought nothing
    body = client_of(alice).get("/api/v1/users/me/purchases").json()
    # Then that is what it says
    assert (body["orders"], body["spent"], body["results"]) == (0, {}, [])
