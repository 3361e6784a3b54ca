"""Every endpoint of this service refuses a field and a filter that it does not know."""

from __future__ import annotations

from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from order_app.models import Order
from tests import unknown_names
from tests.order.given import a_product, an_order

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_body_refuses_an_unknown_field_at_any_depth(staff: APIClient) -> None:
    assert unknown_names.endpoints_that_ignore_unknown_fields(staff) == []


def test_every_list_refuses_an_unknown_parameter(staff: APIClient) -> None:
    assert unknown_names.lists_that_ignore_unknown_parameters(staff) == []


def test_every_endpoint_refuses_an_unknown_parameter(staff: APIClient) -> None:
    assert unknown_names.endpoints_that_ignore_unknown_parameters(staff) == []


def test_nul_is_a_400_at_every_endpoint(staff: APIClient) -> None:
    assert unknown_names.endpoints_that_take_nul(staff) == []


def test_every_address_finds_an_id_in_upper_case() -> None:
    assert unknown_names.addresses_with_ids_in_lower_case_only() == []


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


def test_a_coupon_in_the_query_does_not_place_an_order_at_the_full_price(customer: APIClient) -> None:
    body = {"lines": [{"product_id": str(a_product()), "quantity": 1}]}

    answer = customer.post(f"/api/v1/orders?coupon_id={uuid4()}", body, headers={"Idempotency-Key": "k"})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["coupon_id"])
    assert not Order.objects.exists()


@pytest.mark.parametrize("query", ["user_id=", "status=", "status=PENDING&status=CONFIRMED"])
def test_a_filter_that_says_nothing_does_not_list_all_orders(staff: APIClient, query: str) -> None:
    answer = staff.get(f"/api/v1/orders?{query}")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [query.partition("=")[0]])


def test_an_order_is_found_by_its_id_in_upper_case(staff: APIClient) -> None:
    order_id = an_order()

    for path in ("", "/saga"):
        assert staff.get(f"/api/v1/orders/{str(order_id).upper()}{path}").status_code == 200


def test_every_post_that_makes_something_takes_an_idempotency_key() -> None:
    assert unknown_names.posts_without_key() == ["POST /api/v1/orders/{order_id}/cancel"], "a cancel is one by itself"
