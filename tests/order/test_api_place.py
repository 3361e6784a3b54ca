"""POST /orders: what is accepted, what is refused and with which code, and the idempotency key."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.response import Response
from rest_framework.test import APIClient

from contracts.order import OrderCreated
from messaging.testing import deliver, published
from order_app.models import IdempotencyKey, Order
from tests.order.conftest import client_of
from tests.order.given import a_product, an_inactive_user, product_changed

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/orders"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def place(client: APIClient, body: Any, key: str | None = "k1") -> Response:
    """Post an order."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(URL, body, format="json", headers=headers)


def line(product_id: Any, quantity: Any = 2) -> dict[str, Any]:
    """Return a line of a request."""
    return {"product_id": str(product_id), "quantity": quantity}


def test_an_order_is_accepted_with_its_location_at_our_price(customer: APIClient, user_id: UUID) -> None:
    product_id = a_product("12.50")
    response = place(customer, {"lines": [line(product_id)], "coupon_id": None})
    assert response.status_code == 202
    body = response.json()
    assert response["Location"] == f"{URL}/{body['id']}"
    assert (body["status"], body["total"], body["discount"], body["currency"]) == ("PENDING", "25.00", "0.00", "USD")
    assert body["lines"] == [{"product_id": str(product_id), "name": "tea 1", "quantity": 2, "unit_price": "12.50"}]
    assert (body["payable"], body["confirmed_at"], body["canceled_at"]) == ("25.00", None, None)
    assert body["updated_at"] == body["created_at"]
    assert (body["user_id"], body["coupon_id"], body["reason"]) == (str(user_id), None, "")
    assert customer.get(response["Location"]).json() == body
    assert [str(event.order_id) for event in published(OrderCreated)] == [body["id"]]


def test_amounts_have_the_digits_of_their_currency(customer: APIClient) -> None:
    body = place(customer, {"lines": [line(a_product("12000", "KRW"))]}).json()
    assert (body["total"], body["lines"][0]["unit_price"]) == ("24000", "12000")


def test_lines_of_one_product_are_added_up(customer: APIClient) -> None:
    product_id = a_product()
    body = place(customer, {"lines": [line(product_id, 2), line(product_id, 3)]}).json()
    assert [each["quantity"] for each in body["lines"]] == [5]


def refused(response: Response) -> tuple[int, str]:
    """Return status and code, after a look at the problem's form; nothing may have been placed."""
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    assert body["detail"]
    assert not Order.objects.exists()
    assert not IdempotencyKey.objects.exists()
    return response.status_code, body["code"]


@pytest.mark.parametrize(
    ("quantity", "wanted"),
    [
        (0, (422, "quantity_out_of_range")),
        (-3, (422, "quantity_out_of_range")),
        (10_001, (422, "quantity_out_of_range")),
        (10**30, (422, "quantity_out_of_range")),
        ("many", (400, "validation_failed")),
        (None, (400, "validation_failed")),
        (True, (400, "validation_failed")),
        (1.5, (400, "validation_failed")),
        ([], (400, "validation_failed")),
    ],
)
def test_a_bad_quantity_is_refused(customer: APIClient, quantity: Any, wanted: tuple[int, str]) -> None:
    assert refused(place(customer, {"lines": [line(a_product(), quantity)]})) == wanted


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        None,
        7,
        {"lines": None},
        {"lines": "x"},
        {"lines": {}},
        {"lines": [[]]},
        {"lines": [{}]},
        {"lines": [{"product_id": "x", "quantity": 1}]},
        {"lines": [{"quantity": 1}]},
        {"lines": [{"product_id": UNKNOWN}]},
        {"lines": [{"product_id": UNKNOWN, "quantity": 1}], "coupon_id": "x"},
        {"lines": [{"product_id": UNKNOWN, "quantity": 1}], "coupon_id": {}},
    ],
)
def test_a_body_of_another_shape_is_a_400(customer: APIClient, body: Any) -> None:
    assert refused(place(customer, body)) == (400, "validation_failed")


@pytest.mark.parametrize("value", [True, 7, 1.5, [], "x"])
def test_an_id_is_the_text_of_a_uuid_and_nothing_else(customer: APIClient, value: Any) -> None:
    product_id = a_product()

    assert refused(place(customer, {"lines": [line(product_id)], "coupon_id": value})) == (400, "validation_failed")
    assert refused(place(customer, {"lines": [{"product_id": value, "quantity": 1}]})) == (400, "validation_failed")


@pytest.mark.parametrize("text", ["", "{", '{"lines": [}', "\x00", '{"lines": ' + "[" * 100_000, "\xff\xfe"])
def test_malformed_json_is_a_400(customer: APIClient, text: str) -> None:
    response = customer.generic(
        "POST", URL, text.encode("latin-1"), "application/json", headers={"Idempotency-Key": "k"}
    )
    status, code = refused(response)
    assert status == 400
    assert code in ("parse_error", "validation_failed")


def test_another_content_type_is_a_415(customer: APIClient) -> None:
    response = customer.generic("POST", URL, b"lines=1", "text/plain", headers={"Idempotency-Key": "k"})
    assert refused(response)[0] == 415


def test_a_body_that_is_too_large_is_a_413(customer: APIClient) -> None:
    response = customer.generic(
        "POST", URL, b"[" + b" " * 2_000_000 + b"]", "application/json", headers={"Idempotency-Key": "k"}
    )
    assert refused(response)[0] == 413


@pytest.mark.parametrize(("count", "code"), [(0, "no_lines"), (101, "too_many_lines"), (10_000, "too_many_lines")])
def test_an_order_has_1_to_100_lines(customer: APIClient, count: int, code: str) -> None:
    assert refused(place(customer, {"lines": [line(UNKNOWN, 1)] * count})) == (422, code)


def test_an_unknown_product_is_refused(customer: APIClient) -> None:
    assert refused(place(customer, {"lines": [line(UNKNOWN)]})) == (422, "unknown_product")


def test_a_product_that_is_not_sold_any_more_is_refused(customer: APIClient) -> None:
    assert refused(place(customer, {"lines": [line(a_product(active=False))]})) == (422, "product_inactive")


def test_mixed_currencies_are_refused(customer: APIClient) -> None:
    lines = [line(a_product("1.00", "USD")), line(a_product("1000", "KRW"))]
    assert refused(place(customer, {"lines": lines})) == (422, "mixed_currencies")


def test_a_deactivated_user_orders_no_more() -> None:
    client = client_of(an_inactive_user())
    assert refused(place(client, {"lines": [line(a_product())]})) == (403, "user_inactive")


def test_without_a_token_nothing_is_placed() -> None:
    assert refused(place(APIClient(), {"lines": [line(a_product())]}))[0] == 401


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_missing"),
        ("  ", "idempotency_key_missing"),
        ("k" * 256, "idempotency_key_invalid"),
        ("a\x00b", "idempotency_key_invalid"),
    ],
)
def test_the_idempotency_key_is_needed(customer: APIClient, key: str | None, code: str) -> None:
    assert refused(place(customer, {"lines": [line(a_product())]}, key)) == (400, code)


def test_the_same_request_again_gets_the_first_answer_again(customer: APIClient) -> None:
    product_id = a_product("10.00")
    body = {"lines": [line(product_id)], "coupon_id": None}
    first = place(customer, body)
    deliver(product_changed(product_id, 2, active=False))
    again = place(customer, json.loads(json.dumps(dict(reversed(body.items())))))
    assert (again.status_code, again.json(), again["Location"]) == (202, first.json(), first["Location"])
    assert (first.headers.get("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (None, "true")
    assert Order.objects.count() == 1
    assert len(published(OrderCreated)) == 1


def test_another_body_under_the_same_key_is_refused(customer: APIClient) -> None:
    product_id = a_product()
    place(customer, {"lines": [line(product_id, 1)]})
    response = place(customer, {"lines": [line(product_id, 2)]})
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert Order.objects.count() == 1


def test_a_key_stored_by_an_older_release_still_gets_the_first_answer(customer: APIClient) -> None:
    body = {"lines": [line(a_product())]}
    first = place(customer, body)
    IdempotencyKey.objects.update(target="")
    assert place(customer, body).json() == first.json()


def test_a_key_belongs_to_one_address(customer: APIClient) -> None:
    body = {"lines": [line(a_product())]}
    place(customer, body)
    IdempotencyKey.objects.update(target="POST /api/v1/others")
    assert place(customer, body).json()["code"] == "idempotency_key_reused"


def test_a_refusal_leaves_the_key_free(customer: APIClient) -> None:
    product_id = uuid4()
    assert refused(place(customer, {"lines": [line(product_id)]})) == (422, "unknown_product")
    deliver(product_changed(product_id, 1))
    assert place(customer, {"lines": [line(product_id)]}).status_code == 202


def test_keys_of_two_users_have_nothing_to_do_with_each_other(customer: APIClient, stranger: APIClient) -> None:
    body = {"lines": [line(a_product())]}
    assert place(customer, body).json()["id"] != place(stranger, body).json()["id"]
