"""What the order service publishes, on `order.events`, keyed by order id."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec

from contracts.values import Currency, Moment, Pieces, Reason, Text, check_amounts
from messaging.event import Event, event

TOPIC = "order.events"


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One product of an order. `unit_price` is in the order's currency; `quantity` is in pieces, 1 or more."""

    product_id: UUID
    quantity: Pieces
    unit_price: Decimal

    def __post_init__(self) -> None:
        check_amounts(self.unit_price)


#: The lines of an order: at least one.
Lines = Annotated[tuple[OrderLine, ...], msgspec.Meta(min_length=1, max_length=1000)]


@event("order.OrderCreated.v1", topic=TOPIC, key="order_id")
class OrderCreated(Event, frozen=True, kw_only=True):
    """An order was placed and waits for stock and coupon. `total` is of the lines, before any discount."""

    order_id: UUID
    user_id: UUID
    lines: Lines
    coupon_id: UUID | None
    total: Decimal
    currency: Currency
    created_at: Moment

    def __post_init__(self) -> None:
        check_amounts(self.total)


@event("order.OrderConfirmed.v1", topic=TOPIC, key="order_id")
class OrderConfirmed(Event, frozen=True, kw_only=True):
    """Every step of the order succeeded. `total` is of the lines; the customer pays `total` less `discount`."""

    order_id: UUID
    user_id: UUID
    lines: Lines
    total: Decimal
    discount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        check_amounts(self.total, self.discount)


@event("order.OrderCanceled.v1", topic=TOPIC, key="order_id")
class OrderCanceled(Event, frozen=True, kw_only=True):
    """The order ended; each service that holds something for it gives it back.

    `actor` canceled the order: an id, or a part of the system.
    """

    order_id: UUID
    user_id: UUID
    lines: Lines
    coupon_id: UUID | None
    reason: Reason
    actor: Text
