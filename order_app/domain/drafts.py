"""Turns a customer's request into an order with prices: the rules of lines, prices and currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from money import MINOR_UNITS, UnknownCurrency, rounded

MAX_LINES = 100
MAX_QUANTITY = 10_000
#: In the currency's units. Every service can store any amount below this.
MAX_TOTAL = 10**15


class OrderRefused(Exception):
    """The request breaks a rule, so no order is placed. `code` is stable and part of the API."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class LineRequest:
    """A quantity of one product."""

    product_id: UUID
    quantity: int


@dataclass(frozen=True)
class OrderRequest:
    """What a customer asks for. It has no prices: the order service sets them.

    `expected_total` and `expected_currency` are what the customer was shown. Another total is refused.
    """

    user_id: UUID
    lines: tuple[LineRequest, ...]
    coupon_id: UUID | None = None
    expected_total: Decimal | None = None
    expected_currency: str | None = None


@dataclass(frozen=True)
class Product:
    """What the order service knows of a product."""

    price: Decimal
    currency: str
    active: bool
    name: str = ""


@dataclass(frozen=True)
class Line:
    """A line with its price, in the order's currency, and the product's name when the order was placed."""

    product_id: UUID
    quantity: int
    unit_price: Decimal
    name: str = ""


@dataclass(frozen=True)
class Draft:
    """An order that may be placed. `total` is that of the lines, before any discount."""

    user_id: UUID
    lines: tuple[Line, ...]
    coupon_id: UUID | None
    total: Decimal
    currency: str


class PriceChanged(OrderRefused):
    """The customer was shown another total. `draft` is the order at today's prices; nothing was placed."""

    def __init__(self, draft: Draft) -> None:
        super().__init__("price_changed", f"The total is now {draft.total} {draft.currency}. Show it, and order again.")
        self.draft = draft


def draft_order(request: OrderRequest, catalogue: Mapping[UUID, Product]) -> Draft:
    """Return the order that `request` asks for, at the prices of `catalogue`. OrderRefused if it breaks a rule."""
    quantities = merge_lines(request.lines)
    currency = _one_currency([_orderable(product_id, catalogue) for product_id in quantities])
    lines = tuple(
        Line(product_id, quantity, rounded(product.price, currency), product.name)
        for product_id, quantity in quantities.items()
        if (product := catalogue[product_id])
    )
    total = sum((line.unit_price * line.quantity for line in lines), Decimal(0))
    if total >= MAX_TOTAL:
        raise OrderRefused(
            "total_too_large", f"The total of an order must be below {MAX_TOTAL:,} {currency}. Order fewer pieces."
        )
    draft = Draft(request.user_id, lines, request.coupon_id, rounded(total, currency), currency)
    if not _is_expected(draft, request):
        raise PriceChanged(draft)
    return draft


def _is_expected(draft: Draft, request: OrderRequest) -> bool:
    return request.expected_total in (None, draft.total) and request.expected_currency in (None, draft.currency)


def merge_lines(lines: tuple[LineRequest, ...]) -> dict[UUID, int]:
    """Add up the lines of each product; return the quantities in the order of the products' first lines."""
    if not lines:
        raise OrderRefused("no_lines", "An order needs at least one line.")
    if len(lines) > MAX_LINES:
        raise OrderRefused("too_many_lines", f"An order has at most {MAX_LINES} lines; this one has {len(lines)}.")
    quantities: dict[UUID, int] = {}
    for line in lines:
        if line.quantity < 1:
            raise _quantity_refused(line.product_id)
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
        if quantities[line.product_id] > MAX_QUANTITY:
            raise _quantity_refused(line.product_id)
    return quantities


def _quantity_refused(product_id: UUID) -> OrderRefused:
    return OrderRefused("quantity_out_of_range", f"Order 1 to {MAX_QUANTITY:,} pieces of product {product_id}.")


def _orderable(product_id: UUID, catalogue: Mapping[UUID, Product]) -> Product:
    product = catalogue.get(product_id)
    if product is None:
        raise OrderRefused("unknown_product", f"There is no product {product_id}.")
    if not product.active:
        raise OrderRefused("product_inactive", f"Product {product_id} is no longer for sale.")
    return product


def _one_currency(products: list[Product]) -> str:
    currencies = sorted({product.currency for product in products})
    if len(currencies) > 1:
        raise OrderRefused(
            "mixed_currencies",
            f"All products of an order must have one currency, not {', '.join(currencies)}. "
            "Place one order per currency.",
        )
    if currencies[0] not in MINOR_UNITS:
        raise OrderRefused("unknown_currency", str(UnknownCurrency(currencies[0])))
    return currencies[0]
