"""SQL of the hot path: one statement for a whole batch instead of a query for each row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from batchsql import execute, insert_rows

#: One row per order, in the order of ids, so that two batches cannot deadlock. A stored row can change in only one way
#: (domain.NEXT_STATE): COUNTED becomes CANCELED, and keeps its amounts.
_MERGE_PURCHASES = insert_rows(
    "user_app_purchase",
    {
        "order_id": "uuid",
        "user_id": "uuid",
        "state": "text",
        "total": "numeric",
        "discount": "numeric",
        "currency": "text",
        "confirmed_at": "timestamptz",
        "canceled_at": "timestamptz",
    },
    order_by="order_id",
    then="ON CONFLICT (order_id) DO UPDATE SET state = EXCLUDED.state, canceled_at = EXCLUDED.canceled_at"
    " WHERE stored.state = 'COUNTED' AND EXCLUDED.state = 'CANCELED'",
)


def merge_purchases(rows: Collection[tuple[Any, ...]]) -> None:
    """Merge purchases (in the column order above) with the stored rows of their orders."""
    execute(_MERGE_PURCHASES, rows)
