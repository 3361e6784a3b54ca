"""From a request to an order with prices."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_app.domain import LineRequest, OrderRefused, OrderRequest, Product, draft_order

TEA, CUP, GONE, YEN = uuid4(), uuid4(), uuid4(), uuid4()
CATALOGUE = {
    TEA: Product(Decimal("12.50"), "USD", active=True),
    CUP: Product(Decimal("3.00"), "USD", active=True),
    GONE: Product(Decimal("1.00"), "USD", active=False),
    YEN: Product(Decimal("900"), "JPY", active=True),
}


def request(*lines: tuple[UUID, int]) -> OrderRequest:
    """Return a request for these products."""
    return OrderRequest(uuid4(), tuple(LineRequest(*line) for line in lines))


def test_the_price_is_ours_and_the_total_is_that_of_the_lines() -> None:
    draft = draft_order(request((TEA, 2), (CUP, 1)), CATALOGUE)
    assert (draft.total, draft.currency) == (Decimal("28.00"), "USD")
    assert [line.unit_price for line in draft.lines] == [Decimal("12.50"), Decimal("3.00")]


def test_lines_of_one_product_are_added_up() -> None:
    draft = draft_order(request((TEA, 2), (CUP, 1), (TEA, 3)), CATALOGUE)
    assert [(line.product_id, line.quantity) for line in draft.lines] == [(TEA, 5), (CUP, 1)]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "no_lines"),
        ([(TEA, 0)], "quantity_out_of_range"),
        ([(TEA, -1)], "quantity_out_of_range"),
        ([(TEA, 10_001)], "quantity_out_of_range"),
        ([(TEA, 6_000), (TEA, 6_000)], "quantity_out_of_range"),
        ([(TEA, 3), (TEA, -1)], "quantity_out_of_range"),
        ([(TEA, 1)] * 101, "too_many_lines"),
        ([(uuid4(), 1)], "unknown_product"),
        ([(GONE, 1)], "product_inactive"),
        ([(TEA, 1), (YEN, 1)], "mixed_currencies"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_code(lines: list[tuple[UUID, int]], code: str) -> None:
    with pytest.raises(OrderRefused) as refusal:
        draft_order(request(*lines), CATALOGUE)
    assert refusal.value.code == code
    assert refusal.value.detail


@pytest.mark.parametrize(
    ("price", "currency", "rounded"),
    [("0.5", "KRW", "1"), ("1.005", "USD", "1.01"), ("2", "USD", "2.00"), ("1.0005", "KWD", "1.001"),
     ("1.2345", "BHD", "1.235"), ("1.2345", "CLF", "1.2345")],
)  # fmt: skip
def test_a_price_is_rounded_half_up_to_the_minor_unit(price: str, currency: str, rounded: str) -> None:
    product_id = uuid4()
    draft = draft_order(request((product_id, 1)), {product_id: Product(Decimal(price), currency, active=True)})
    assert (str(draft.lines[0].unit_price), str(draft.total)) == (rounded, rounded)


@pytest.mark.parametrize("currency", ["XXX", "XAU", "DEM"])
def test_nothing_is_ordered_in_a_currency_whose_minor_unit_nobody_knows(currency: str) -> None:
    product_id = uuid4()
    with pytest.raises(OrderRefused, match=currency) as refusal:
        draft_order(request((product_id, 1)), {product_id: Product(Decimal("1.234"), currency, active=True)})
    assert refusal.value.code == "unknown_currency"


@given(st.lists(st.tuples(st.sampled_from([TEA, CUP]), st.integers(1, 90)), min_size=1, max_size=100))
def test_nothing_is_lost_when_lines_are_merged(lines: list[tuple[UUID, int]]) -> None:
    draft = draft_order(request(*lines), CATALOGUE)
    assert draft.total == sum(CATALOGUE[product].price * quantity for product, quantity in lines)
    assert sum(line.quantity for line in draft.lines) == sum(quantity for _, quantity in lines)


def test_a_total_that_not_every_service_can_hold_is_refused():
    product_id = uuid4()
    request = OrderRequest(uuid4(), (LineRequest(product_id, 10_000),))

    with pytest.raises(OrderRefused) as refused:
        draft_order(request, {product_id: Product(Decimal(10**11), "KRW", True)})
    assert refused.value.code == "total_too_large"
    assert draft_order(request, {product_id: Product(Decimal(10**11 - 1), "KRW", True)}).total < 10**15
