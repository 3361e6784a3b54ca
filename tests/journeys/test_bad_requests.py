"""What can't be accepted is answered with a documented problem, never with a 500."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.journeys.shop import Person, Shelves, Shop


def post_order(person: Person, body: Any, key: str | None = None, **headers: str) -> requests.Response:
    return person.request("POST", "order", "/orders", body, Idempotency_Key=key or str(uuid4()), **headers)


def assert_problem(answer: requests.Response, status: int, code: str) -> None:
    """Check RFC 9457 and the stable code."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["title"] and problem["detail"]


def lines(*pairs: tuple[str, int]) -> dict[str, Any]:
    return {"lines": [{"product_id": product, "quantity": quantity} for product, quantity in pairs]}


def test_orders_that_can_not_be_are_refused_with_their_own_codes(shop: Shop, shelves: Shelves):
    customer, won, dollar = shop.visitor(), shelves.product(10), shelves.product(10, "9.50", "USD")

    assert_problem(post_order(customer, lines((str(uuid4()), 1))), 422, "unknown_product")
    assert_problem(post_order(customer, lines((won, 0))), 422, "quantity_out_of_range")
    assert_problem(post_order(customer, lines((won, -1))), 422, "quantity_out_of_range")
    assert_problem(post_order(customer, lines(*[(won, 1)] * 10_000)), 422, "too_many_lines")
    assert_problem(post_order(customer, lines()), 422, "no_lines")
    assert_problem(post_order(customer, lines((won, 1), (dollar, 1))), 422, "mixed_currencies")
    assert customer.call("GET", "order", "/orders")["results"] == []


def test_malformed_json_is_a_problem(shop: Shop):
    customer = shop.visitor()
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
    answer = customer.http.post(f"{shop.urls['order']}/api/v1/orders", data=b'{"lines": [', headers=headers, timeout=5)
    assert_problem(answer, 400, "parse_error")


def test_an_idempotency_key_is_required_and_stands_for_one_order(shop: Shop, shelves: Shelves):
    customer, product, key = shop.visitor(), shelves.product(10), str(uuid4())
    assert_problem(customer.request("POST", "order", "/orders", lines((product, 1))), 400, "idempotency_key_missing")

    first, again = (post_order(customer, lines((product, 1)), key) for _ in range(2))
    other = post_order(customer, lines((product, 2)), key)

    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json(), again.headers["Location"]) == (first.json(), first.headers["Location"])
    assert_problem(other, 422, "idempotency_key_reused")
    customer.wait_ended(first.json()["id"], "CONFIRMED")
    assert shelves.stock(product) == 9


def token(shop: Shop, key: Any, *, lifetime: timedelta, **claims: Any) -> str:
    """Return a token like the user service's, but for what is given."""
    now = datetime.now(UTC)
    usual = {"iss": "user", "aud": ["order"], "sub": str(uuid4()), "typ": "access", "staff": False, "jti": "1"}
    times = {"iat": now - timedelta(hours=1), "exp": now + lifetime}
    return jwt.encode(usual | times | claims, key, algorithm="EdDSA", headers={"kid": shop.kid})


@pytest.mark.parametrize("kind", ["none", "expired", "foreign", "for another service", "refresh"])
def test_a_token_that_is_not_ours_or_not_for_this_is_a_401(kind: str, shop: Shop):
    hour, stranger = timedelta(hours=1), Ed25519PrivateKey.generate()
    tokens = {
        "none": None,
        "expired": token(shop, shop.key, lifetime=-timedelta(minutes=10)),
        "foreign": token(shop, stranger, lifetime=hour, staff=True),
        "for another service": token(shop, shop.key, lifetime=hour, aud=["coupon"]),
        "refresh": token(shop, shop.key, lifetime=hour, typ="refresh"),
    }
    person = Person(shop.urls).bear(tokens[kind]) if tokens[kind] else Person(shop.urls)

    answer = post_order(person, lines((str(uuid4()), 1)))

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_customer_can_not_do_what_staff_does(shop: Shop, shelves: Shelves):
    customer, product = shop.visitor(), shelves.product(1)
    paths = (
        ("product", "/products"),
        ("product", f"/products/{product}/stock-adjustments"),
        ("coupon", "/campaigns"),
        ("coupon", "/coupons"),
    )
    for service, path in paths:
        assert_problem(customer.request("POST", service, path, {}), 403, "staff_only")
