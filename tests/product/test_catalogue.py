"""Products, their announcements, and adjustments of their stock."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from messaging import TransactionRequired
from messaging.models import OperatorAction, OutboxRow
from product_app import services, tasks
from product_app.models import Product, StockAdjustment
from product_app.selectors import list_product_ids

pytestmark = pytest.mark.django_db
Answers = Callable[[UUID], list[dict[str, Any]]]
MakeProduct = Callable[..., Product]


def adjust(product: Product, delta: int, **more: Any) -> StockAdjustment:
    with transaction.atomic():
        return services.adjust_stock(
            product_id=product.id, **{"delta": delta, "reason": "count", "actor": "ann", **more}
        )


def test_a_new_product_is_announced_with_version_one(make_product: MakeProduct, answers: Answers) -> None:
    tea = make_product(name="Tea", price="9.9", currency="USD")

    assert answers(tea.id) == [
        {
            "event": "ProductChanged",
            "product_id": str(tea.id),
            "version": 1,
            "name": "Tea",
            "price": "9.90",
            "currency": "USD",
            "active": True,
        }
    ]


def test_a_change_is_announced_with_the_next_version(make_product: MakeProduct, answers: Answers) -> None:
    tea = make_product()

    with transaction.atomic():
        services.change_product(product_id=tea.id, name="Green tea", active=False)

    assert [(said["version"], said["name"], said["active"]) for said in answers(tea.id)] == [
        (1, "Tea", True),
        (2, "Green tea", False),
    ]


def test_a_change_of_nothing_is_not_announced(make_product: MakeProduct, answers: Answers) -> None:
    tea = make_product(price="12000")

    with transaction.atomic():
        services.change_product(product_id=tea.id, name="Tea", price=Decimal("12000.0"))

    assert len(answers(tea.id)) == 1


def test_stock_is_not_announced(make_product: MakeProduct, answers: Answers) -> None:
    assert len(answers(make_product(5).id)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_product_is_not_created_outside_a_transaction() -> None:
    with pytest.raises(TransactionRequired):
        services.create_product(name="Tea", price=Decimal(1), currency="KRW")


def test_an_adjustment_is_written_into_the_ledger(make_product: MakeProduct) -> None:
    tea = make_product(5)

    adjustment = adjust(tea, -2, reason="broken", actor="ann")

    assert adjustment.product.quantity == 3
    assert list(StockAdjustment.objects.order_by("id").values_list("delta", "reason", "actor")) == [
        (5, "delivery", "test"),
        (-2, "broken", "ann"),
    ]


def test_an_adjustment_cannot_take_what_is_not_there(make_product: MakeProduct) -> None:
    tea = make_product(5)

    with pytest.raises(services.StockBelowZero, match="5 in stock"):
        adjust(tea, -6)

    assert StockAdjustment.objects.count() == 1


def test_the_same_request_adjusts_once(make_product: MakeProduct) -> None:
    tea = make_product(5)

    first, again = adjust(tea, 2, request_key="a"), adjust(tea, 2, request_key="a")

    assert (first.id, again.product.quantity) == (again.id, 7)
    assert adjust(tea, 2, request_key="a", actor="bob").product.quantity == 9


def test_a_request_key_is_not_taken_for_something_else(make_product: MakeProduct) -> None:
    tea = make_product(5)
    adjust(tea, 2, request_key="a")
    with pytest.raises(services.RequestKeyReused):
        adjust(tea, 3, request_key="a")


@pytest.mark.parametrize(
    "republish", [tasks.republish_catalog, lambda: call_command("republish_catalog", stdout=StringIO())]
)
def test_republishing_announces_every_product_as_it_is(
    make_product: MakeProduct, answers: Answers, republish: Callable[[], Any]
) -> None:
    products = [make_product(name=name) for name in ("Tea", "Cup")]
    inactive = make_product(name="Pot", active=False)
    OutboxRow.objects.all().delete()

    republish()

    assert [answers(product.id)[0]["version"] for product in products] == [1, 1]
    assert answers(inactive.id)[0]["active"] is False


def test_force_raises_the_version_of_what_was_fixed_by_sql(make_product: MakeProduct, answers: Answers) -> None:
    tea = make_product()
    Product.objects.update(price=1)
    OutboxRow.objects.all().delete()

    call_command("republish_catalog", "--force", "--reason", "a wrong price", stdout=StringIO())

    assert [(each["version"], each["price"]) for each in answers(tea.id)] == [(2, "1")]
    assert Product.objects.get().version == 2
    [action] = OperatorAction.objects.all()
    assert (action.verb, action.reason) == ("republish", "a wrong price")


def test_force_without_a_reason_changes_nothing(make_product: MakeProduct) -> None:
    make_product()
    with pytest.raises(CommandError, match="--force needs --reason"):
        call_command("republish_catalog", "--force", stdout=StringIO())
    assert Product.objects.get().version == 1


def test_products_are_announced_page_by_page(make_product: MakeProduct) -> None:
    ids = sorted(make_product(name=str(number)).id for number in range(5))
    assert list(list_product_ids(size=2)) == [ids[0:2], ids[2:4], ids[4:5]]


def test_announcing_a_product_that_is_gone_announces_nothing() -> None:
    assert services.announce_products(product_ids=[uuid4()]) == 0
