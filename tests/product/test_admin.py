"""The operators' pages: products go through the services, stock through adjustments, the rest is read-only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from product_app.models import Product, StockAdjustment
from product_app.selectors import list_unbalanced_products
from tests.opened_form import seen

pytestmark = pytest.mark.django_db
ADMIN = "/admin/product_app"
MakeProduct = Callable[..., Product]
NO_INLINES = {"adjustments-TOTAL_FORMS": 0, "adjustments-INITIAL_FORMS": 0}


def adjustment(tea: Product, **more: Any) -> dict[str, Any]:
    return {"product": tea.id, "delta": 2, "reason": "delivery", "request_key": "k", **more}


def test_a_product_is_added_and_announced(admin_client: Client, answers: Callable[[UUID], list[Any]]) -> None:
    tea = {"name": "Tea", "price": "9.90", "currency": "USD", "active": "on", **NO_INLINES}

    response = admin_client.post(f"{ADMIN}/product/add/", tea)

    assert response.status_code == 302, response.context["errors"]
    assert answers(Product.objects.get().id)[0]["price"] == "9.90"


def test_a_changed_product_is_announced_again(
    admin_client: Client, make_product: MakeProduct, answers: Callable[[UUID], list[Any]]
) -> None:
    product = make_product()

    page = f"{ADMIN}/product/{product.id}/change/"
    changes = {"name": "Pot", "price": "5", "currency": "KRW", **seen(admin_client, page)}
    response = admin_client.post(page, {**changes, **NO_INLINES})

    assert response.status_code == 302
    assert [(said["name"], said["active"]) for said in answers(product.id)] == [("Tea", True), ("Pot", False)]


def test_a_price_that_cannot_be_paid_is_an_error_of_the_form(admin_client: Client) -> None:
    response = admin_client.post(
        f"{ADMIN}/product/add/", {"name": "Tea", "price": "9.90", "currency": "KRW", "active": "on", **NO_INLINES}
    )
    assert (response.status_code, "digits after the point" in response.content.decode()) == (200, True)


def test_stock_is_adjusted_with_a_reason_and_once_per_form(admin_client: Client, make_product: MakeProduct) -> None:
    tea = make_product(5)

    responses = [admin_client.post(f"{ADMIN}/stockadjustment/add/", adjustment(tea)) for _ in range(2)]

    assert [response.status_code for response in responses] == [302, 302]
    assert Product.objects.get().quantity == 7
    assert StockAdjustment.objects.order_by("id").last().actor == "admin"


def test_a_form_sent_again_with_another_number_is_another_request(
    admin_client: Client, make_product: MakeProduct
) -> None:
    tea = make_product(5)
    for delta in (2, 3):
        admin_client.post(f"{ADMIN}/stockadjustment/add/", adjustment(tea, delta=delta))
    assert Product.objects.get().quantity == 10


@pytest.mark.parametrize(
    "wrong", [{"delta": -6}, {"delta": 0}, {"reason": " "}, {"product": uuid4()}, {"delta": 10**12}]
)
def test_an_adjustment_that_cannot_be_is_an_error_of_the_form(
    admin_client: Client, make_product: MakeProduct, wrong: dict[str, Any]
) -> None:
    tea = make_product(5)

    response = admin_client.post(f"{ADMIN}/stockadjustment/add/", adjustment(tea, **wrong))

    assert (response.status_code, Product.objects.get().quantity) == (200, 5)


def test_every_page_opens(admin_client: Client, make_product: MakeProduct, ask: Callable[..., None]) -> None:
    tea, order = make_product(5), uuid4()
    ask(("CREATED", order, [(tea.id, 1)]), ("CREATED", uuid4(), [(uuid4(), 1)]))

    for page in (
        "product/?q=tea",
        f"product/?q={tea.id}",
        f"product/{tea.id}/change/",
        "product/add/",
        "stockadjustment/?q=delivery",
        f"stockadjustment/add/?product={tea.id}",
        "stockdecision/?decision__exact=HELD",
        f"stockdecision/{order}/change/",
        "stockhold/?restored_at__isempty=1",
    ):
        assert admin_client.get(f"{ADMIN}/{page}").status_code == 200, page


@pytest.mark.parametrize("ledger", ["stockdecision", "stockhold"])
def test_a_ledger_is_searched_by_order(
    admin_client: Client, make_product: MakeProduct, ask: Callable[..., None], ledger: str
) -> None:
    tea, orders = make_product(5), [uuid4(), uuid4()]
    ask(*(("CREATED", order, [(tea.id, 1)]) for order in orders))

    def found(term: Any) -> int:
        return admin_client.get(f"{ADMIN}/{ledger}/", {"q": term}).context["cl"].result_count

    assert [found(orders[0]), found(""), found("no id")] == [1, 2, 0]


@pytest.mark.parametrize("ledger", ["stockdecision", "stockhold"])
def test_a_ledger_is_read_only(admin_client: Client, ledger: str) -> None:
    assert admin_client.get(f"{ADMIN}/{ledger}/add/").status_code == 403


def test_what_orders_hold_is_shown_without_reading_every_hold(
    admin_client: Client, make_product: MakeProduct, ask: Callable[..., None]
) -> None:
    tea = make_product(5)
    ask(("CREATED", uuid4(), [(tea.id, 2)]))

    with CaptureQueriesContext(connection) as asked:
        text = admin_client.get(f"{ADMIN}/product/").content.decode()

    assert '<td class="field-held">2</td>' in text
    assert not [each["sql"] for each in asked if "stockhold" in each["sql"]]
    assert list_unbalanced_products() == []
