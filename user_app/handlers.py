"""The events that the user service handles."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.order import OrderCanceled, OrderConfirmed
from messaging import Delivery, subscribe
from user_app import services


@subscribe(OrderConfirmed, OrderCanceled, batch=True, replay="safe", name="user.on_order_ended")
def on_order_ended(deliveries: Sequence[Delivery]) -> None:
    """Count confirmed orders in their buyers' histories. A canceled order never counts again."""
    services.record_purchases(deliveries=deliveries)
