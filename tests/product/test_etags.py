"""ETag and If-Match: a product is changed only from the state that the caller has seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from product_app.models import Product
from product_app.services import adjust_stock

pytestmark = pytest.mark.django_db
MakeProduct = Callable[..., Product]


def address(product: Product) -> str:
    return f"/api/v1/products/{product.id}"


def change(staff: APIClient, product: Product, tag: str, **changes: Any) -> Any:
    return staff.patch(address(product), changes, headers={"If-Match": tag})


def test_a_change_from_the_present_state_is_made_and_has_the_next_tag(
    staff: APIClient, make_product: MakeProduct
) -> None:
    tea = make_product()
    first = staff.get(address(tea))["ETag"]
    changed = change(staff, tea, first, name="Pot")

    assert (changed.status_code, changed["ETag"]) == (200, staff.get(address(tea))["ETag"])
    assert changed["ETag"] != first


def test_a_change_from_an_old_state_is_a_412_with_what_is_there_now(
    staff: APIClient, make_product: MakeProduct
) -> None:
    tea = make_product()
    old = staff.get(address(tea))["ETag"]
    staff.patch(address(tea), {"price": "5"})
    refused = change(staff, tea, old, name="Pot")

    now = staff.get(address(tea))
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    assert (refused.json()["current"], refused["ETag"]) == (now.json(), now["ETag"])
    assert Product.objects.get().name == "Tea"


@pytest.mark.parametrize(
    ("tag", "status"),
    [("*", 200), ('"other", {}', 200), ("W/{}", 412), ('"other"', 412), ("1", 412), ("", 412)],
)
def test_a_condition_is_read_as_rfc_9110_says(
    staff: APIClient, make_product: MakeProduct, tag: str, status: int
) -> None:
    tea = make_product()
    own = staff.get(address(tea))["ETag"]

    assert change(staff, tea, tag.format(own), name="Pot").status_code == status


def test_the_stock_is_no_part_of_the_state(staff: APIClient, make_product: MakeProduct) -> None:
    tea = make_product(5)
    tag = staff.get(address(tea))["ETag"]
    adjust_stock(product_id=tea.id, delta=1, reason="x", actor="y")

    assert change(staff, tea, tag, name="Pot").status_code == 200
