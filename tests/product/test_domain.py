"""The participant's table, cell by cell as the saga's tables have it, and the rules of lines and money."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from money import stored
from product_app.domain import (
    RETRIES_EXHAUSTED,
    InvalidLines,
    InvalidPrice,
    OrderDecision,
    Reason,
    Refusal,
    Request,
    Stock,
    answer,
    check_price,
    likely_decision,
    quantities,
)
from saga.participant import Answer, Decision, Incoming

ORDER, TEA, CUP = UUID(int=1), UUID(int=2), UUID(int=3)
OUT_OF_STOCK = Refusal(Reason.OUT_OF_STOCK, "none there")

# decision so far | OrderCreated | retries exhausted on it | OrderCanceled; each: decision after, answer, tea in stock
CELLS = {
    "none": [("HELD", "TAKEN", 3), ("REFUSED", "REFUSED", 5), ("CANCELED_FIRST", "NOT_RESTORED", 5)],
    "HELD": [("HELD", "TAKEN", 5), ("HELD", "TAKEN", 5), ("RESTORED", "RESTORED", 7)],
    "REFUSED": [("REFUSED", "REFUSED", 5), ("REFUSED", "REFUSED", 5), ("REFUSED", "NOT_RESTORED", 5)],
    "CANCELED_FIRST": [
        ("CANCELED_FIRST", "CANCELED", 5),
        ("CANCELED_FIRST", "CANCELED", 5),
        ("CANCELED_FIRST", "NOT_RESTORED", 5),
    ],
    "RESTORED": [("RESTORED", "CANCELED", 5), ("RESTORED", "CANCELED", 5), ("RESTORED", "RESTORED", 5)],
}


def order_in(decision: str) -> OrderDecision:
    """An order that was decided so, where it held two teas."""
    if decision == "none":
        return OrderDecision()
    holds = {TEA: 2} if decision in ("HELD", "RESTORED") else {}
    return OrderDecision(Decision(decision), OUT_OF_STOCK if decision == "REFUSED" else None, holds)


@pytest.mark.parametrize("decision", CELLS)
@pytest.mark.parametrize("incoming", list(Incoming))
def test_each_cell_decides_answers_and_moves_stock_as_the_table_says(decision: str, incoming: Incoming) -> None:
    after, said, tea = CELLS[decision][list(Incoming).index(incoming)]
    order, shelf = order_in(decision), {TEA: Stock("Tea", 5)}

    given = answer(Request(incoming, ORDER, ((TEA, 2),)), order, shelf)

    assert (order.decision, given, shelf[TEA].quantity) == (Decision(after), Answer[said], tea)


def test_an_order_that_cannot_be_had_whole_takes_nothing() -> None:
    order, shelf = OrderDecision(), {TEA: Stock("Tea", 5), CUP: Stock("Cup", 1)}

    given = answer(Request(Incoming.CREATED, ORDER, ((TEA, 2), (CUP, 2))), order, shelf)

    assert (given, order.decision, order.holds) == (Answer.REFUSED, Decision.REFUSED, {})
    assert order.refusal == Refusal(Reason.OUT_OF_STOCK, f"Cup ({CUP}): 2 ordered, 1 in stock")
    assert [stock.quantity for stock in shelf.values()] == [5, 1]


def test_a_product_that_is_not_known_refuses_the_order() -> None:
    order = OrderDecision()

    answer(Request(Incoming.CREATED, ORDER, ((TEA, 1),)), order, {})

    assert order.refusal == Refusal(Reason.UNKNOWN_PRODUCT, f"the product service does not know product {TEA}")


def test_a_refusal_is_never_tried_again() -> None:
    order, shelf = order_in("REFUSED"), {TEA: Stock("Tea", 100)}

    given = answer(Request(Incoming.CREATED, ORDER, ((TEA, 1),)), order, shelf)

    assert (given, order.refusal, shelf[TEA].quantity) == (Answer.REFUSED, OUT_OF_STOCK, 100)


def test_a_cancel_gives_back_what_is_held_whatever_the_event_says() -> None:
    order, shelf = order_in("HELD"), {TEA: Stock("Tea", 0), CUP: Stock("Cup", 0)}

    answer(Request(Incoming.CANCELED, ORDER, ((CUP, 9),)), order, shelf)

    assert (shelf[TEA].quantity, shelf[CUP].quantity) == (2, 0)


def test_a_product_named_twice_is_wanted_in_sum() -> None:
    assert quantities([(CUP, 1), (TEA, 2), (CUP, 3)]) == {TEA: 2, CUP: 4}


@pytest.mark.parametrize("lines", [(), ((TEA, 0),), ((TEA, 3), (CUP, -1)), ((TEA, 3), (TEA, -2))])
def test_lines_that_make_no_sense_decide_nothing(lines: tuple[tuple[UUID, int], ...]) -> None:
    order, shelf = OrderDecision(), {TEA: Stock("Tea", 5), CUP: Stock("Cup", 5)}

    with pytest.raises(InvalidLines):
        answer(Request(Incoming.CREATED, ORDER, lines), order, shelf)

    assert (order, shelf[TEA].quantity, shelf[CUP].quantity) == (OrderDecision(), 5, 5)


@pytest.mark.parametrize("incoming", list(Incoming))
def test_the_likely_decision_is_the_one_that_is_made_when_everything_is_there(incoming: Incoming) -> None:
    order, shelf = OrderDecision(), {TEA: Stock("Tea", 5)}

    answer(Request(incoming, ORDER, ((TEA, 2),)), order, shelf)

    likely = likely_decision(incoming)
    assert (likely.decision, likely.refusal) == (order.decision, order.refusal)
    assert order.refusal == (RETRIES_EXHAUSTED if incoming is Incoming.EXHAUSTED else None)


@pytest.mark.parametrize(
    ("price", "currency"),
    [("0.5", "KRW"), ("1.005", "USD"), ("-1", "USD"), ("NaN", "USD"), ("Infinity", "KRW"), ("1", "XXX"), ("1", "krw")],
)
def test_a_price_that_cannot_be_paid_is_refused(price: str, currency: str) -> None:
    with pytest.raises(InvalidPrice):
        check_price(Decimal(price), currency)


@pytest.mark.parametrize(
    ("price", "currency", "shown"), [("12000.000", "KRW", "12000"), ("9.9", "USD", "9.90"), ("0", "KWD", "0.000")]
)
def test_a_price_has_its_currencys_digits(price: str, currency: str, shown: str) -> None:
    check_price(Decimal(price), currency)
    assert str(stored(Decimal(price), currency)) == shown
