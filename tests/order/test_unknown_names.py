"""Every endpoint of this service refuses a field and a filter that it does not know."""

from __future__ import annotations

from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from order_app.models import Order
from tests import unknown_names
from tests.order.given import a_product

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_body_refuses_an_unknown_field_at_any_depth(staff: APIClient) -> None:
    assert unknown_names.endpoints_that_ignore_unknown_fields(staff) == []


def test_every_list_refuses_an_unknown_parameter(staff: APIClient) -> None:
    assert unknown_names.lists_that_ignore_unknown_parameters(staff) == []


def test_a_misspelled_coupon_does_not_place_an_order_at_the_full_price(customer: APIClient) -> None:
    body = {"lines": [{"product_id": str(a_product()), "quantity": 1}], "coupon": str(uuid4())}

    answer = customer.post("/api/v1/orders", body, headers={"Idempotency-Key": "k"})

    assert answer.status_code == 400
    assert 'Did you mean "coupon_id"?' in answer.json()["errors"]["coupon"][0]
    assert not Order.objects.exists()


def test_a_misspelled_filter_does_not_list_all_orders(staff: APIClient) -> None:
    answer = staff.get("/api/v1/orders?state=PENDING&user=x")

    assert answer.status_code == 400
    assert answer.json()["errors"] == {
        "state": ['Unknown name. Did you mean "status"? Known: page, page_size, status, user_id.'],
        "user": ['Unknown name. Did you mean "user_id"? Known: page, page_size, status, user_id.'],
    }
