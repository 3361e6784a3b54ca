"""The HTTP API, with what callers get wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from product_app.models import Product, StockAdjustment

pytestmark = pytest.mark.django_db
MakeProduct = Callable[..., Product]
PRODUCTS = "/api/v1/products"
TEA = {"name": "Tea", "price": "9.90", "currency": "USD"}


def stock_address(product: Product) -> str:
    return f"{PRODUCTS}/{product.id}/stock-adjustments"


def test_staff_creates_a_product(staff: APIClient) -> None:
    response = staff.post(PRODUCTS, TEA)

    assert response.status_code == 201
    assert response.json() == {**TEA, "id": response.json()["id"], "active": True, "version": 1, "available": 0}


def test_staff_adds_stock_and_the_answer_says_how_much_there_is(staff: APIClient, make_product: MakeProduct) -> None:
    tea = make_product(5)

    response = staff.post(stock_address(tea), {"delta": 3, "reason": "delivery"})

    assert (response.status_code, response.json()["quantity"]) == (201, 8)
    assert StockAdjustment.objects.order_by("id").last().actor == str(staff.handler._force_user.id)


def test_staff_changes_the_price(staff: APIClient, make_product: MakeProduct) -> None:
    response = staff.patch(f"{PRODUCTS}/{make_product().id}", {"price": 15000})
    assert (response.status_code, response.json()["price"], response.json()["version"]) == (200, "15000", 2)


def test_everyone_reads_the_catalogue(anyone: APIClient, make_product: MakeProduct) -> None:
    tea = make_product(5, "Tea")

    listed, one = anyone.get(PRODUCTS).json(), anyone.get(f"{PRODUCTS}/{tea.id}").json()

    assert listed["results"] == [one]
    assert (one["price"], one["available"]) == ("12000", 5)


def test_the_catalogue_is_filtered_and_cut_into_pages(anyone: APIClient, make_product: MakeProduct) -> None:
    for name, currency in (("Green tea", "KRW"), ("Black tea", "USD"), ("Cup", "KRW")):
        make_product(name=name, currency=currency)

    def names(query: str) -> list[str]:
        return [product["name"] for product in anyone.get(f"{PRODUCTS}?{query}").json()["results"]]

    assert names("name=TEA") == ["Green tea", "Black tea"]
    assert names("currency=KRW") == ["Green tea", "Cup"]
    assert names("page_size=2&page=2") == ["Cup"]


def test_only_staff_sees_what_is_not_active(staff: APIClient, customer: APIClient, make_product: MakeProduct) -> None:
    pot = make_product(name="Pot", active=False)

    for client, seen, status in ((staff, 1, 200), (customer, 0, 404)):
        assert client.get(PRODUCTS).json()["count"] == seen
        assert client.get(f"{PRODUCTS}?active=false").json()["count"] == seen
        assert client.get(f"{PRODUCTS}/{pot.id}").status_code == status


@pytest.mark.parametrize(("caller", "status"), [("anyone", 401), ("customer", 403)])
def test_only_staff_changes_anything(
    request: pytest.FixtureRequest, make_product: MakeProduct, caller: str, status: int
) -> None:
    client, tea = request.getfixturevalue(caller), make_product(5)

    responses = [
        client.post(PRODUCTS, TEA),
        client.patch(f"{PRODUCTS}/{tea.id}", {"name": "x"}),
        client.post(stock_address(tea), {"delta": 1, "reason": "x"}),
    ]

    assert [response.status_code for response in responses] == [status] * 3
    assert all(response["Content-Type"] == "application/problem+json" for response in responses)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"name": "a\x00b"},
        {"name": None},
        {"name": ["Tea"]},
        {"price": "-1"},
        {"price": "NaN"},
        {"price": "1e400"},
        {"price": "1.005"},
        {"price": "cheap"},
        {"price": "9" * 19},
        {"price": "0.5", "currency": "KRW"},
        {"price": "1.2345", "currency": "CLF"},
        {"price": "1.2345", "currency": "BHD"},
        {"currency": "XXX"},
        {"currency": "XAU"},
        {"currency": None},
        {"active": "perhaps"},
        {"quantity": 5},
    ],
)
def test_a_product_that_makes_no_sense_is_refused(staff: APIClient, wrong: dict[str, Any]) -> None:
    response = staff.post(PRODUCTS, {**TEA, **wrong})

    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")
    assert response.json()["errors"].keys() <= wrong.keys() | {"price"}
    assert Product.objects.count() == 0


@pytest.mark.parametrize("body", ["{", "[]", "3", '"x"', "null", ""])
def test_a_body_that_is_no_object_is_refused(staff: APIClient, make_product: MakeProduct, body: str) -> None:
    for address in (PRODUCTS, stock_address(make_product())):
        response = staff.post(address, body, content_type="application/json")
        assert response.status_code == 400, address


def test_a_currency_that_does_not_fit_the_price_is_refused(staff: APIClient, make_product: MakeProduct) -> None:
    tea = make_product(price="9.90", currency="USD")

    response = staff.patch(f"{PRODUCTS}/{tea.id}", {"currency": "KRW"})

    assert (response.status_code, list(response.json()["errors"])) == (400, ["price"])
    assert Product.objects.get().currency == "USD"


@pytest.mark.parametrize(
    "wrong",
    [
        {"delta": 0},
        {"delta": 1.5},
        {"delta": "many"},
        {"delta": None},
        {"delta": True},
        {"delta": 10**12},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "x" * 501},
        {"quantity": 3},
    ],
)
def test_an_adjustment_that_makes_no_sense_is_refused(
    staff: APIClient, make_product: MakeProduct, wrong: dict[str, Any]
) -> None:
    tea = make_product(5)

    response = staff.post(stock_address(tea), {"delta": 1, "reason": "delivery", **wrong})

    assert (response.status_code, list(response.json()["errors"])) == (400, list(wrong))
    assert Product.objects.get().quantity == 5


def test_stock_does_not_go_below_zero(staff: APIClient, make_product: MakeProduct) -> None:
    tea = make_product(5)

    response = staff.post(stock_address(tea), {"delta": -6, "reason": "count"})

    assert (response.status_code, response.json()["code"]) == (409, "stock_below_zero")
    assert Product.objects.get().quantity == 5


def test_an_adjustment_with_an_idempotency_key_is_made_once(staff: APIClient, make_product: MakeProduct) -> None:
    tea = make_product(5)

    def post(delta: int) -> Any:
        return staff.post(stock_address(tea), {"delta": delta, "reason": "delivery"}, headers={"Idempotency-Key": "k"})

    first, again, other = post(2), post(2), post(3)

    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Product.objects.get().quantity == 7


def test_an_idempotency_key_that_is_too_long_is_refused(staff: APIClient, make_product: MakeProduct) -> None:
    response = staff.post(
        stock_address(make_product()), {"delta": 1, "reason": "x"}, headers={"Idempotency-Key": "k" * 256}
    )
    assert response.json()["code"] == "idempotency_key_invalid"


def test_a_product_that_is_not_there_is_not_found(staff: APIClient) -> None:
    address = f"{PRODUCTS}/{uuid4()}"
    responses = [
        staff.get(address),
        staff.patch(address, {"name": "x"}),
        staff.post(f"{address}/stock-adjustments", {"delta": 1, "reason": "x"}),
        staff.get(f"{PRODUCTS}/not-an-id"),
    ]
    assert [response.status_code for response in responses] == [404] * 4


@pytest.mark.parametrize(
    "query", ["currency=XXX", "page=0", "name=%00", "active=%00", f"name={'x' * 300}", "page_size=x"]
)
def test_a_query_that_makes_no_sense_does_no_harm(anyone: APIClient, query: str) -> None:
    assert anyone.get(f"{PRODUCTS}?{query}").status_code in (200, 400, 404)
