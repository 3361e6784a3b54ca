"""Local copies of products and users: what others announced, the newest version of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from messaging import Delivery
from order_app.sql import execute_columns, storable

_COPY_PRODUCTS = """
INSERT INTO order_app_productcopy AS c (product_id, version, name, price, currency, active)
SELECT product_id, version, name, price, currency, active
  FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::numeric[], %s::text[], %s::bool[])
       AS t(product_id, version, name, price, currency, active)
 ORDER BY product_id
    ON CONFLICT (product_id) DO UPDATE
       SET version = EXCLUDED.version, name = EXCLUDED.name, price = EXCLUDED.price, currency = EXCLUDED.currency,
           active = EXCLUDED.active
     WHERE c.version < EXCLUDED.version
"""
_COPY_USERS = """
INSERT INTO order_app_usercopy AS c (user_id, version, active)
SELECT user_id, version, active FROM unnest(%s::uuid[], %s::bigint[], %s::bool[]) AS t(user_id, version, active)
 ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET version = EXCLUDED.version, active = EXCLUDED.active
     WHERE c.version < EXCLUDED.version
"""


def copy_products(*, deliveries: Sequence[Delivery]) -> None:
    """Keep what ProductChanged tells, where it is newer than what we have."""
    _upsert(_COPY_PRODUCTS, [_product(delivery.event) for delivery in deliveries])


def copy_users(*, deliveries: Sequence[Delivery]) -> None:
    """Keep what UserChanged tells, where it is newer than what we have."""
    events = [delivery.event for delivery in deliveries]
    _upsert(_COPY_USERS, [(e.user_id, e.version, e.active) for e in events])


def _product(event: Any) -> tuple[Any, ...]:
    name, currency = storable(event.name), storable(event.currency)
    return (event.product_id, event.version, name, event.price, currency, event.active)


def _upsert(statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    # One statement can't touch a row twice: of several versions in one batch, only the newest goes in.
    newest: dict[Any, tuple[Any, ...]] = {}
    for row in rows:
        if row[0] not in newest or newest[row[0]][1] < row[1]:
            newest[row[0]] = row
    with connection.cursor() as cursor:
        execute_columns(cursor, statement, list(newest.values()))
