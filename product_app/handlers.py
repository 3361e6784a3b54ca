"""The events that the product service handles: an order takes its stock, or gives it back."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.order import OrderCanceled, OrderCreated
from messaging import Context, Delivery, subscribe
from product_app import services
from product_app.domain import Request
from saga.participant import Incoming


def on_order_created_exhausted(event: OrderCreated, context: Context) -> None:
    """Every attempt failed: refuse the order, unless it is already decided."""
    services.answer_order_events(requests=[(Request(Incoming.EXHAUSTED, event.order_id), context)])


@subscribe(OrderCreated, batch=True, on_exhausted=on_order_created_exhausted, replay="skip")
def on_order_created(deliveries: Sequence[Delivery]) -> None:
    """Hold every line of each order, or refuse it."""
    services.answer_order_events(requests=[(_stock_wanted(event), context) for event, context in deliveries])


# No on_exhausted: no answer means "could not give back". The event becomes a dead letter, and its key waits.
@subscribe(OrderCanceled, batch=True, replay="skip")
def on_order_canceled(deliveries: Sequence[Delivery]) -> None:
    """Give back what each order holds. The decision row says whether it holds anything."""
    requests = [(Request(Incoming.CANCELED, event.order_id), context) for event, context in deliveries]
    services.answer_order_events(requests=requests)


def _stock_wanted(event: OrderCreated) -> Request:
    lines = tuple((line.product_id, line.quantity) for line in event.lines)
    return Request(Incoming.CREATED, event.order_id, lines)
