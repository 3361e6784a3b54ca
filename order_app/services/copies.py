"""Local copies of other services' products and users: the newest version of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchsql import execute_newest, keep_newest
from messaging import Delivery
from order_app.sql import storable

_COPY_PRODUCTS = keep_newest(
    "order_app_productcopy",
    {
        "product_id": "uuid",
        "version": "bigint",
        "name": "text",
        "price": "numeric",
        "currency": "text",
        "active": "bool",
    },
)
_COPY_USERS = keep_newest("order_app_usercopy", {"user_id": "uuid", "version": "bigint", "active": "bool"})


def copy_products(*, deliveries: Sequence[Delivery]) -> None:
    """Store the products of these ProductChanged events that are newer than the copies."""
    execute_newest(_COPY_PRODUCTS, [_product(delivery.event) for delivery in deliveries])


def copy_users(*, deliveries: Sequence[Delivery]) -> None:
    """Store the users of these UserChanged events that are newer than the copies."""
    events = [delivery.event for delivery in deliveries]
    execute_newest(_COPY_USERS, [(e.user_id, e.version, e.active) for e in events])


def _product(event: Any) -> tuple[Any, ...]:
    name, currency = storable(event.name), storable(event.currency)
    return (event.product_id, event.version, name, event.price, currency, event.active)
