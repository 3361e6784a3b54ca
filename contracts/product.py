"""What the product service publishes: answers to orders on `product.events`, products on `product.catalog`."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from contracts.values import Currency, Pieces, Reason, Text, Version, check_amounts
from messaging.event import Event, event

TOPIC = "product.events"
CATALOG = "product.catalog"


class StockLine(msgspec.Struct, frozen=True, kw_only=True):
    """The number of pieces of a product that are held."""

    product_id: UUID
    quantity: Pieces


@event("product.StockReduced.v1", topic=TOPIC, key="order_id")
class StockReduced(Event, frozen=True, kw_only=True):
    """The stock for every line of the order is held."""

    order_id: UUID
    lines: tuple[StockLine, ...]


@event("product.StockReduceFailed.v1", topic=TOPIC, key="order_id")
class StockReduceFailed(Event, frozen=True, kw_only=True):
    """Nothing is held. `reason`: out_of_stock, unknown_product, retries_exhausted or order_canceled.

    `detail` is for people.
    """

    order_id: UUID
    reason: Reason
    detail: Text = ""


@event("product.StockRestored.v1", topic=TOPIC, key="order_id")
class StockRestored(Event, frozen=True, kw_only=True):
    """The canceled order holds nothing. `restored` is false when there was never anything to give back."""

    order_id: UUID
    restored: bool


@event("product.ProductChanged.v1", topic=CATALOG, key="product_id")
class ProductChanged(Event, frozen=True, kw_only=True):
    """A product as it is now. `version` grows by one with every change: an older one never overwrites a newer one."""

    product_id: UUID
    version: Version
    name: Text
    price: Decimal
    currency: Currency
    active: bool

    def __post_init__(self) -> None:
        check_amounts(self.price)
