"""What an order is answered, and what its rows say then, on a real database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from product_app.models import Product, StockAdjustment, StockDecision, StockHold
from product_app.selectors import list_unbalanced_products

pytestmark = pytest.mark.django_db
Ask = Callable[..., None]
Answers = Callable[[UUID], list[dict[str, Any]]]
MakeProduct = Callable[..., Product]


def stock_of(product: Product) -> int:
    return Product.objects.get(id=product.id).quantity


def test_an_order_is_held_and_told_so(make_product: MakeProduct, ask: Ask, answers: Answers) -> None:
    tea, cup, order = make_product(10, "Tea"), make_product(10, "Cup"), uuid4()

    ask(("CREATED", order, [(cup.id, 2), (tea.id, 1)]))

    lines = [{"product_id": str(tea.id), "quantity": 1}, {"product_id": str(cup.id), "quantity": 2}]
    assert answers(order) == [{"event": "StockReduced", "order_id": str(order), "lines": lines}]
    assert (stock_of(tea), stock_of(cup)) == (9, 8)
    assert StockDecision.objects.get(order_id=order).decision == "HELD"
    assert list_unbalanced_products() == []


def test_the_same_order_again_is_answered_again_and_held_once(
    make_product: MakeProduct, ask: Ask, answers: Answers
) -> None:
    tea, order = make_product(10), uuid4()

    for _ in range(3):
        ask(("CREATED", order, [(tea.id, 2)]), ("CREATED", order, [(tea.id, 5)]))

    assert stock_of(tea) == 8
    assert answers(order) == [answers(order)[0]] * 6


def test_all_lines_or_nothing(make_product: MakeProduct, ask: Ask, answers: Answers) -> None:
    tea, cup, order = make_product(10, "Tea"), make_product(1, "Cup"), uuid4()

    ask(("CREATED", order, [(tea.id, 1), (cup.id, 2)]))

    assert answers(order) == [
        {
            "event": "StockReduceFailed",
            "order_id": str(order),
            "reason": "out_of_stock",
            "detail": f"Cup ({cup.id}): 2 ordered, 1 in stock",
        }
    ]
    assert (stock_of(tea), StockHold.objects.count()) == (10, 0)


def test_the_orders_of_a_batch_compete_in_the_order_of_the_list(
    make_product: MakeProduct, ask: Ask, answers: Answers
) -> None:
    tea, orders = make_product(3), [uuid4() for _ in range(4)]

    ask(*(("CREATED", order, [(tea.id, wanted)]) for order, wanted in zip(orders, (2, 2, 1, 1), strict=True)))

    names = [answers(order)[0]["event"] for order in orders]
    assert names == ["StockReduced", "StockReduceFailed", "StockReduced", "StockReduceFailed"]
    assert stock_of(tea) == 0


def test_a_refused_order_stays_refused_when_stock_arrives(
    make_product: MakeProduct, ask: Ask, answers: Answers
) -> None:
    order, unknown = uuid4(), uuid4()
    ask(("CREATED", order, [(unknown, 1)]))
    tea = make_product(10)

    ask(("CREATED", order, [(tea.id, 1)]), ("EXHAUSTED", order))

    assert [answer["reason"] for answer in answers(order)] == ["unknown_product"] * 3
    assert stock_of(tea) == 10


def test_a_cancel_gives_back_and_keeps_what_was_held_on_record(
    make_product: MakeProduct, ask: Ask, answers: Answers
) -> None:
    tea, order = make_product(10), uuid4()
    ask(("CREATED", order, [(tea.id, 4)]))

    ask(("CANCELED", order))
    ask(("CANCELED", order))

    assert [answer.get("restored") for answer in answers(order)] == [None, True, True]
    hold = StockHold.objects.get(decision_id=order)
    assert (stock_of(tea), hold.quantity, hold.restored_at is None) == (10, 4, False)


def test_a_cancel_that_comes_first_bars_the_order(make_product: MakeProduct, ask: Ask, answers: Answers) -> None:
    tea, order = make_product(10), uuid4()

    ask(("CANCELED", order))
    ask(("CREATED", order, [(tea.id, 4)]))

    restored, refused = answers(order)
    assert (restored["restored"], refused["reason"]) == (False, "order_canceled")
    assert (stock_of(tea), StockHold.objects.count()) == (10, 0)


def test_created_created_again_and_canceled_in_one_batch(make_product: MakeProduct, ask: Ask, answers: Answers) -> None:
    tea, order = make_product(10), uuid4()

    ask(("CREATED", order, [(tea.id, 4)]), ("CREATED", order, [(tea.id, 4)]), ("CANCELED", order))

    assert [answer["event"] for answer in answers(order)] == ["StockReduced", "StockReduced", "StockRestored"]
    assert (stock_of(tea), StockDecision.objects.get().decision) == (10, "RESTORED")
    assert StockHold.objects.get().restored_at is not None


def test_exhausted_retries_refuse_the_order_for_good(make_product: MakeProduct, ask: Ask, answers: Answers) -> None:
    tea, order = make_product(10), uuid4()

    ask(("EXHAUSTED", order))
    ask(("CREATED", order, [(tea.id, 1)]))

    assert [answer["reason"] for answer in answers(order)] == ["retries_exhausted"] * 2
    assert stock_of(tea) == 10


def test_exhausted_retries_do_not_unsay_a_hold(make_product: MakeProduct, ask: Ask, answers: Answers) -> None:
    tea, order = make_product(10), uuid4()
    ask(("CREATED", order, [(tea.id, 1)]))

    ask(("EXHAUSTED", order))

    assert answers(order)[1] == answers(order)[0]
    assert stock_of(tea) == 9


def test_an_inactive_product_is_held_for_an_order_that_was_accepted(
    make_product: MakeProduct, ask: Ask, answers: Answers
) -> None:
    tea, order = make_product(10, active=False), uuid4()

    ask(("CREATED", order, [(tea.id, 1)]))

    assert answers(order)[0]["event"] == "StockReduced"


def test_a_batch_takes_as_many_statements_as_one_order(make_product: MakeProduct, ask: Ask) -> None:
    tea = make_product(1000)
    counts = []
    for size in (1, 50):
        with CaptureQueriesContext(connection) as queries:
            ask(*(("CREATED", uuid4(), [(tea.id, 1)]) for _ in range(size)))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_database_refuses_stock_below_zero(make_product: MakeProduct) -> None:
    tea = make_product(1)
    with pytest.raises(IntegrityError, match="product_quantity_not_negative"), transaction.atomic():
        Product.objects.filter(id=tea.id).update(quantity=-1)


def test_the_database_refuses_a_second_hold_of_the_same_product(make_product: MakeProduct, ask: Ask) -> None:
    tea, order = make_product(10), uuid4()
    ask(("CREATED", order, [(tea.id, 1)]))
    with pytest.raises(IntegrityError, match="hold_once_per_order_and_product"), transaction.atomic():
        StockHold.objects.create(decision_id=order, product=tea, quantity=1)


@pytest.mark.parametrize(("decision", "reason"), [("REFUSED", ""), ("HELD", "out_of_stock"), ("MAYBE", "")])
def test_the_database_refuses_a_decision_that_cannot_be(decision: str, reason: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        StockDecision.objects.create(order_id=uuid4(), decision=decision, reason=reason, at="2026-01-01T00:00:00Z")


@pytest.mark.parametrize("rewrite", [lambda rows: rows.update(delta=99), lambda rows: rows.delete()])
def test_the_database_refuses_to_rewrite_the_ledger(make_product: MakeProduct, rewrite: Callable[..., Any]) -> None:
    make_product(1)
    with pytest.raises(IntegrityError, match="never changed or deleted"), transaction.atomic():
        rewrite(StockAdjustment.objects.all())
