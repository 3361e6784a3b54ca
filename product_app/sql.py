"""The statements of the hot path: one per table and batch, rows as plain values, always locked in id order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from batchsql import execute, fetch, insert_new, insert_rows, lock, update_rows
from product_app.domain import OrderDecision, Reason, Refusal, Stock
from saga.participant import Decision

_DECISION = {"order_id": "uuid", "decision": "text", "reason": "text", "detail": "text"}
_INSERT_DECISIONS = insert_rows(
    "product_app_stockdecision",
    _DECISION,
    fixed={"at": "%s"},
    order_by="order_id",
    then="ON CONFLICT (order_id) DO NOTHING RETURNING order_id",
)
_LOCK_DECISIONS = """
SELECT order_id, decision, reason, detail FROM product_app_stockdecision
 WHERE order_id = ANY(%s::uuid[]) ORDER BY order_id FOR UPDATE
"""
_UPDATE_DECISIONS = update_rows("product_app_stockdecision", _DECISION, key=["order_id"])
_LIST_HOLDS = """
SELECT order_id, product_id, quantity FROM product_app_stockhold
 WHERE order_id = ANY(%s::uuid[]) ORDER BY order_id, product_id
"""
_INSERT_HOLDS = insert_rows(
    "product_app_stockhold",
    {"order_id": "uuid", "product_id": "uuid", "quantity": "bigint", "restored_at": "timestamptz"},
)
_RESTORE_HOLDS = "UPDATE product_app_stockhold SET restored_at = %s WHERE order_id = ANY(%s::uuid[])"
# The lock that an UPDATE of the quantity takes anyway. Checks of foreign keys to the product do not wait for it.
_LOCK_PRODUCTS = """
SELECT id, name, quantity FROM product_app_product WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""
_UPDATE_QUANTITIES = update_rows("product_app_product", {"id": "uuid", "quantity": "bigint"}, key=["id"])

Decisions = Mapping[UUID, OrderDecision]


def insert_decisions(decisions: Decisions, now: datetime) -> set[UUID]:
    """Insert rows for orders that have none; return their ids. Waits for transactions that insert the same ids."""
    return {row[0] for row in insert_new(_INSERT_DECISIONS, _decision_rows(decisions), now)}


def lock_decisions(order_ids: Iterable[UUID]) -> dict[UUID, OrderDecision]:
    """Lock the rows of these orders and return them with their holds."""
    ids = list(order_ids)
    if not ids:
        return {}
    found = {row[0]: _decision(*row[1:]) for row in lock(_LOCK_DECISIONS, ids)}
    for order_id, product_id, quantity in fetch(_LIST_HOLDS, ids):
        found[order_id].holds[product_id] = quantity
    return found


def update_decisions(decisions: Decisions) -> None:
    """Write the decisions into rows that are locked."""
    execute(_UPDATE_DECISIONS, _decision_rows(decisions))


def insert_holds(decisions: Decisions, now: datetime) -> None:
    """Insert the holds of these orders. One batch may contain an order and its cancellation, so some are given back."""
    rows = [
        (order_id, product_id, quantity, now if order.decision is Decision.RESTORED else None)
        for order_id, order in decisions.items()
        for product_id, quantity in order.holds.items()
    ]
    execute(_INSERT_HOLDS, rows)


def restore_holds(order_ids: Sequence[UUID], now: datetime) -> None:
    """Mark the hold rows of these orders as given back."""
    execute(_RESTORE_HOLDS, [(order_id,) for order_id in order_ids], now)


def lock_products(product_ids: Iterable[UUID]) -> dict[UUID, Stock]:
    """Lock the products that exist and return their stock."""
    ids = list(product_ids)
    if not ids:
        return {}
    return {row[0]: Stock(name=row[1], quantity=row[2]) for row in lock(_LOCK_PRODUCTS, ids)}


def update_quantities(quantities: Mapping[UUID, int]) -> None:
    """Write the stock of products that are locked."""
    execute(_UPDATE_QUANTITIES, quantities.items())


def _decision_rows(decisions: Decisions) -> list[tuple[Any, ...]]:
    return [(order_id, order.decision, *(order.refusal or ("", ""))) for order_id, order in decisions.items()]


def _decision(decision: str, reason: str, detail: str) -> OrderDecision:
    return OrderDecision(Decision(decision), Refusal(Reason(reason), detail) if reason else None)
