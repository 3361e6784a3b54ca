"""What the order service publishes, on `order.events`, keyed by order id."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from messaging.event import Event, event

TOPIC = "order.events"


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One product of an order. `unit_price` is in the order's currency; `quantity` is in pieces, 1 or more."""

    product_id: UUID
    quantity: int
    unit_price: Decimal


@event("order.OrderCreated.v1", topic=TOPIC, key="order_id")
class OrderCreated(Event, frozen=True, kw_only=True):
    """An order was placed and waits for stock and coupon. `total` is of the lines, before any discount."""

    order_id: UUID
    user_id: UUID
    lines: tuple[OrderLine, ...]
    coupon_id: UUID | None
    total: Decimal
    currency: str
    created_at: datetime


@event("order.OrderConfirmed.v1", topic=TOPIC, key="order_id")
class OrderConfirmed(Event, frozen=True, kw_only=True):
    """Every step of the order succeeded. `total` is of the lines; the customer pays `total` less `discount`."""

    order_id: UUID
    user_id: UUID
    lines: tuple[OrderLine, ...]
    total: Decimal
    discount: Decimal
    currency: str


@event("order.OrderCanceled.v1", topic=TOPIC, key="order_id")
class OrderCanceled(Event, frozen=True, kw_only=True):
    """The order ended; whoever took something for it gives it back.

    `actor` is who cancelled: an id, or a part of the system.
    """

    order_id: UUID
    user_id: UUID
    lines: tuple[OrderLine, ...]
    coupon_id: UUID | None
    reason: str
    actor: str
