"""How the stock answers an order, by the table of `saga/participant.py`; and the rules of stock and money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from money import MINOR_UNITS, UnknownCurrency, is_finer
from saga.participant import CANNOT, DECISIONS, Answer, Cell, Decision, Effect, Incoming


class Reason(StrEnum):
    """Why stock was not reduced: the `reason` of StockReduceFailed."""

    OUT_OF_STOCK = "out_of_stock"
    UNKNOWN_PRODUCT = "unknown_product"
    RETRIES_EXHAUSTED = "retries_exhausted"
    ORDER_CANCELED = "order_canceled"


class InvalidLines(ValueError):
    """The lines of an order are invalid (none at all, or a quantity below one), so its stock cannot be decided."""


class Request(NamedTuple):
    """A request of an order about the stock; `lines` are (product id, quantity)."""

    incoming: Incoming
    order_id: UUID
    lines: tuple[tuple[UUID, int], ...] = ()


class Refusal(NamedTuple):
    """Why an order was refused, for machines and for people."""

    reason: Reason
    detail: str


RETRIES_EXHAUSTED = Refusal(
    Reason.RETRIES_EXHAUSTED, "the product service failed to reserve the stock; its inbox (admin) has the error"
)


@dataclass(slots=True)
class Stock:
    """The stock of a product."""

    name: str
    quantity: int


@dataclass(slots=True)
class OrderDecision:
    """The decision row of an order with its hold rows (product id → quantity). None: not decided yet."""

    decision: Decision | None = None
    refusal: Refusal | None = None
    holds: dict[UUID, int] = field(default_factory=dict)


def likely_decision(incoming: Incoming) -> OrderDecision:
    """Return the decision after an order's first event `incoming`, if there is enough stock."""
    decision = DECISIONS[None][incoming].decision
    return OrderDecision(decision, RETRIES_EXHAUSTED if decision is Decision.REFUSED else None)


def answer(request: Request, order: OrderDecision, shelf: MutableMapping[UUID, Stock]) -> Answer:
    """Apply `request` to the order's decision and to the stock on the shelf; return the answer.

    InvalidLines if the request takes stock and its lines are invalid.
    """
    cell = DECISIONS[order.decision][request.incoming]
    if cell.effect is Effect.TAKE:
        cell = _take(request, order, shelf)
    elif cell.effect is Effect.GIVE_BACK:
        for product_id, quantity in order.holds.items():
            shelf[product_id].quantity += quantity
    elif order.decision is None and cell.decision is Decision.REFUSED:
        order.refusal = RETRIES_EXHAUSTED
    order.decision = cell.decision
    return cell.answer


def _take(request: Request, order: OrderDecision, shelf: MutableMapping[UUID, Stock]) -> Cell:
    wanted = quantities(request.lines)
    order.refusal = find_obstacle(wanted, shelf)
    if order.refusal:
        return CANNOT
    for product_id, quantity in wanted.items():
        shelf[product_id].quantity -= quantity
    order.holds = wanted
    return DECISIONS[None][Incoming.CREATED]


def quantities(lines: Iterable[tuple[UUID, int]]) -> dict[UUID, int]:
    """Add up the lines of each product; return the quantities in the order of product ids."""
    wanted: dict[UUID, int] = {}
    for product_id, quantity in sorted(lines):
        if quantity < 1:
            raise InvalidLines(f"product {product_id}: the quantity must be at least 1, not {quantity}")
        wanted[product_id] = wanted.get(product_id, 0) + quantity
    if not wanted:
        raise InvalidLines("the order has no lines")
    return wanted


def find_obstacle(wanted: Mapping[UUID, int], shelf: Mapping[UUID, Stock]) -> Refusal | None:
    """Return why the stock is not enough for all quantities, or None if it is."""
    for product_id, quantity in wanted.items():
        stock = shelf.get(product_id)
        if stock is None:
            return Refusal(Reason.UNKNOWN_PRODUCT, f"the product service does not know product {product_id}")
        if stock.quantity < quantity:
            detail = f"{stock.name} ({product_id}): {quantity} ordered, {stock.quantity} in stock"
            return Refusal(Reason.OUT_OF_STOCK, detail)
    return None


class InvalidPrice(ValueError):
    """The price is invalid: unknown currency, below zero, or finer than the currency's minor unit."""


def check_price(price: Decimal, currency: str) -> None:
    """Raise InvalidPrice, with what to change, unless `price` is valid in `currency`."""
    if currency not in MINOR_UNITS:
        raise InvalidPrice(str(UnknownCurrency(currency)))
    if not price.is_finite() or price < 0:
        raise InvalidPrice("The price must be zero or more.")
    if is_finer(price, currency):
        raise InvalidPrice(f"A price in {currency} has at most {MINOR_UNITS[currency]} digits after the point.")
