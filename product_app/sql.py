"""The statements of the hot path: one per table and batch, rows as plain values, always locked in id order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from product_app.domain import OrderDecision, Reason, Refusal, Stock
from saga.participant import Decision

# Sorted, because two transactions that insert the same keys in different orders deadlock.
_INSERT_DECISIONS = """
INSERT INTO product_app_stockdecision (order_id, decision, reason, detail, at)
SELECT order_id, decision, reason, detail, %s
  FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) AS t(order_id, decision, reason, detail)
 ORDER BY order_id
    ON CONFLICT (order_id) DO NOTHING
RETURNING order_id
"""
_LOCK_DECISIONS = """
SELECT order_id, decision, reason, detail FROM product_app_stockdecision
 WHERE order_id = ANY(%s::uuid[]) ORDER BY order_id FOR UPDATE
"""
_UPDATE_DECISIONS = """
UPDATE product_app_stockdecision AS d
   SET decision = t.decision, reason = t.reason, detail = t.detail
  FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) AS t(order_id, decision, reason, detail)
 WHERE d.order_id = t.order_id
"""
_LIST_HOLDS = """
SELECT order_id, product_id, quantity FROM product_app_stockhold
 WHERE order_id = ANY(%s::uuid[]) ORDER BY order_id, product_id
"""
_INSERT_HOLDS = """
INSERT INTO product_app_stockhold (order_id, product_id, quantity, restored_at)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::timestamptz[])
"""
_RESTORE_HOLDS = "UPDATE product_app_stockhold SET restored_at = %s WHERE order_id = ANY(%s::uuid[])"
# The lock that an UPDATE of the quantity takes anyway: it lets foreign keys to the product be checked meanwhile.
_LOCK_PRODUCTS = """
SELECT id, name, quantity FROM product_app_product WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""
_UPDATE_QUANTITIES = """
UPDATE product_app_product AS p SET quantity = t.quantity
  FROM unnest(%s::uuid[], %s::bigint[]) AS t(id, quantity) WHERE p.id = t.id
"""

Decisions = Mapping[UUID, OrderDecision]


def insert_decisions(decisions: Decisions, now: datetime) -> set[UUID]:
    """Insert the rows where the order has none; return the ids of those orders. Waits for who is inserting the same."""
    return {row[0] for row in _rows(_INSERT_DECISIONS, [now, *_decision_columns(decisions)])}


def lock_decisions(order_ids: Iterable[UUID]) -> dict[UUID, OrderDecision]:
    """Lock the rows of these orders and return them with what their hold rows say."""
    ids = list(order_ids)
    if not ids:
        return {}
    found = {row[0]: _decision(*row[1:]) for row in _rows(_LOCK_DECISIONS, [ids])}
    for order_id, product_id, quantity in _rows(_LIST_HOLDS, [ids]):
        found[order_id].holds[product_id] = quantity
    return found


def update_decisions(decisions: Decisions) -> None:
    """Write the decisions into rows that are locked."""
    if decisions:
        _execute(_UPDATE_DECISIONS, _decision_columns(decisions))


def insert_holds(decisions: Decisions, now: datetime) -> None:
    """Insert what these orders hold, or held: in one batch an order can be made and cancelled."""
    rows = [
        (order_id, product_id, quantity, now if order.decision is Decision.RESTORED else None)
        for order_id, order in decisions.items()
        for product_id, quantity in order.holds.items()
    ]
    if rows:
        _execute(_INSERT_HOLDS, [list(column) for column in zip(*rows, strict=True)])


def restore_holds(order_ids: Sequence[UUID], now: datetime) -> None:
    """Mark the hold rows of these orders as given back."""
    if order_ids:
        _execute(_RESTORE_HOLDS, [now, list(order_ids)])


def lock_products(product_ids: Iterable[UUID]) -> dict[UUID, Stock]:
    """Lock the products that exist and return what is there of each."""
    ids = list(product_ids)
    if not ids:
        return {}
    return {row[0]: Stock(name=row[1], quantity=row[2]) for row in _rows(_LOCK_PRODUCTS, [ids])}


def update_quantities(quantities: Mapping[UUID, int]) -> None:
    """Write the stock of products that are locked."""
    if quantities:
        _execute(_UPDATE_QUANTITIES, [list(quantities), list(quantities.values())])


def _decision_columns(decisions: Decisions) -> list[list[Any]]:
    refusals = [order.refusal or ("", "") for order in decisions.values()]
    return [
        list(decisions),
        [order.decision for order in decisions.values()],
        [reason for reason, _ in refusals],
        [detail for _, detail in refusals],
    ]


def _decision(decision: str, reason: str, detail: str) -> OrderDecision:
    return OrderDecision(Decision(decision), Refusal(Reason(reason), detail) if reason else None)


def _rows(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def _execute(statement: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
