"""What an order costs: the total that the customer was shown, what is payable, and what its lines keep."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from messaging.testing import deliver
from order_app.models import Order, Saga
from tests.order.given import (
    a_confirmed_order,
    a_product,
    an_order,
    coupon_restored,
    product_changed,
    reduced,
    stock_restored,
    used,
)
from tests.order.test_api_orders import url
from tests.order.test_api_place import line, place, refused

pytestmark = pytest.mark.django_db(transaction=True)


def expecting(total: Any, product_id: Any, **more: Any) -> dict[str, Any]:
    """Return an order of two pieces for which the customer was shown this total."""
    return {"lines": [line(product_id)], "expected_total": total, **more}


@pytest.mark.parametrize("total", ["25", "25.00", 25, 25.0, None])
def test_the_total_that_the_customer_was_shown_is_accepted(customer: APIClient, total: Any) -> None:
    assert place(customer, expecting(total, a_product("12.50"), expected_currency="USD")).status_code == 202


def test_another_total_is_refused_with_the_lines_of_today(customer: APIClient) -> None:
    product_id = a_product("12.50")
    deliver(product_changed(product_id, 2, price=Decimal("13.00")))
    response = place(customer, expecting("25.00", product_id))
    assert refused(response) == (422, "price_changed")
    body = response.json()
    assert (body["total"], body["currency"]) == ("26.00", "USD")
    assert body["lines"] == [{"product_id": str(product_id), "name": "tea 2", "quantity": 2, "unit_price": "13.00"}]
    assert place(customer, expecting(body["total"], product_id)).status_code == 202


def test_the_same_number_in_another_currency_is_refused(customer: APIClient) -> None:
    product_id = a_product("1000", "JPY")
    deliver(product_changed(product_id, 2, price=Decimal(1000), currency="KRW"))
    response = place(customer, expecting("2000", product_id, expected_currency="JPY"))
    assert refused(response) == (422, "price_changed")
    assert response.json()["currency"] == "KRW"


@pytest.mark.parametrize("total", ["much", "", "-1", "NaN", "1.00001", True, []])
def test_an_expected_total_is_an_amount(customer: APIClient, total: Any) -> None:
    assert refused(place(customer, expecting(total, a_product()))) == (400, "validation_failed")


def test_the_answer_to_a_repeated_request_is_the_first_one_whatever_the_price_is_now(customer: APIClient) -> None:
    product_id = a_product("12.50")
    first = place(customer, expecting("25.00", product_id))
    deliver(product_changed(product_id, 2, price=Decimal("13.00")))
    again = place(customer, expecting("25.00", product_id))
    assert (again.status_code, again.json()) == (202, first.json())


def test_an_order_tells_what_is_payable_and_when_it_was_confirmed(customer: APIClient, user_id: UUID) -> None:
    order_id = a_confirmed_order(user_id=user_id)
    body = customer.get(url(order_id)).json()
    assert (body["total"], body["discount"], body["payable"]) == ("20.00", "3.00", "17.00")
    confirmed = Saga.objects.get(order_id=order_id).finished_at
    assert body["confirmed_at"] == body["updated_at"] == confirmed.isoformat().replace("+00:00", "Z")
    assert body["canceled_at"] is None


def test_an_order_tells_when_it_was_canceled_and_that_it_was_confirmed_before(
    customer: APIClient, user_id: UUID
) -> None:
    order_id = a_confirmed_order(user_id=user_id)
    before = customer.get(url(order_id)).json()
    body = customer.post(url(order_id, "/cancel")).json()
    assert body["confirmed_at"] == before["confirmed_at"] < body["canceled_at"] == body["updated_at"]
    deliver(stock_restored(order_id), coupon_restored(order_id), reduced(order_id))
    assert customer.get(url(order_id)).json() == body, "the end of the undo is the saga's, not the order's"


def test_the_times_of_an_order_of_an_older_release_stay_empty(customer: APIClient, user_id: UUID) -> None:
    order_id = a_confirmed_order(user_id=user_id)
    Order.objects.update(confirmed_at=None, updated_at=None)
    deliver(reduced(order_id), used(order_id))
    body = customer.get(url(order_id)).json()
    assert (body["confirmed_at"], body["updated_at"]) == (None, body["created_at"])


def test_the_lines_of_an_order_keep_the_name_of_the_product(customer: APIClient, user_id: UUID) -> None:
    product_id = a_product()
    order_id = an_order(user_id=user_id, product_id=product_id)
    deliver(product_changed(product_id, 2, name="another name"))
    assert customer.get(url(order_id)).json()["lines"][0]["name"] == "tea 1"
