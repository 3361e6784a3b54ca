"""Shapes of requests and responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework import serializers

from money import stored
from order_app.domain import Line, OrderStatus, SagaStatus, StepStatus
from order_app.models import Order, OrderLine, Saga
from order_app.selectors import waiting_for
from order_app.services import PlacedOrder
from webapi.fields import AmountField, IdField
from webapi.serializers import StrictSerializer


class LineRequestSerializer(StrictSerializer):
    """A line that the customer asks for. The domain checks the quantity."""

    product_id = IdField()
    quantity = serializers.IntegerField(help_text="1 to 10,000 pieces.")


class OrderRequestSerializer(StrictSerializer):
    """The body of POST /orders. Lines of one product are added up."""

    lines = LineRequestSerializer(many=True, help_text="1 to 100 lines, all of one currency.")
    coupon_id = IdField(allow_null=True, default=None)
    expected_total = AmountField(
        max_digits=30,
        decimal_places=4,
        min_value=0,
        allow_null=True,
        default=None,
        help_text="The total of the lines that the customer was shown. If it differs: 422 `price_changed`.",
    )
    expected_currency = serializers.CharField(
        max_length=3, allow_null=True, default=None, help_text="The currency that the customer was shown."
    )


class CancelRequestSerializer(StrictSerializer):
    """The body of POST /orders/{id}/cancel. It is optional."""

    reason = serializers.CharField(
        max_length=1000,
        default="",
        allow_blank=True,
        help_text="Why the order is canceled. Staff must give it for another user's order.",
    )


class LineSerializer(serializers.Serializer[Any]):
    """A line of an order."""

    product_id = serializers.UUIDField()
    name = serializers.CharField(help_text="The product's name when the order was placed.")
    quantity = serializers.IntegerField()
    unit_price = serializers.CharField()


class OrderSerializer(serializers.Serializer[Any]):
    """An order. `total` is of the lines; `payable` is `total` less `discount`; `reason` says why it was canceled."""

    id = serializers.UUIDField()
    user_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=list(OrderStatus))
    reason = serializers.CharField()
    lines = LineSerializer(many=True)
    total = serializers.CharField()
    discount = serializers.CharField()
    payable = serializers.CharField()
    currency = serializers.CharField()
    coupon_id = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()
    confirmed_at = serializers.DateTimeField(allow_null=True)
    canceled_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField(help_text="When status, reason or discount changed last.")

    def to_representation(self, order: Order | PlacedOrder) -> dict[str, Any]:
        """Return the order's JSON; amounts have the digits of its currency. Not by DRF's fields: this is a hot path."""
        lines = order.lines.all() if isinstance(order, Order) else order.lines
        return {
            "id": str(order.id),
            "user_id": str(order.user_id),
            "status": order.status,
            "reason": order.reason,
            "lines": [shown_line(line, order.currency) for line in lines],
            "total": str(stored(order.total, order.currency)),
            "discount": str(stored(order.discount, order.currency)),
            "payable": str(stored(order.total - order.discount, order.currency)),
            "currency": order.currency,
            "coupon_id": str(order.coupon_id) if order.coupon_id else None,
            "created_at": _moment(order.created_at),
            "confirmed_at": _moment(order.confirmed_at),
            "canceled_at": _moment(order.canceled_at),
            "updated_at": _moment(order.updated_at or order.created_at),
        }


def shown_line(line: Line | OrderLine, currency: str) -> dict[str, Any]:
    """Return the JSON of a line."""
    return {
        "product_id": str(line.product_id),
        "name": line.name,
        "quantity": line.quantity,
        "unit_price": str(stored(line.unit_price, currency)),
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


class StepSerializer(serializers.Serializer[Any]):
    """A step of the saga. `attempts` is how many attempts the participant reports."""

    name = serializers.CharField()
    status = serializers.ChoiceField(choices=list(StepStatus))
    attempts = serializers.IntegerField()


class HistorySerializer(serializers.Serializer[Any]):
    """A transition. `step` is empty for the saga itself. `event` caused the transition, or was published by it."""

    at = serializers.DateTimeField()
    event = serializers.CharField()
    step = serializers.CharField()
    to = serializers.CharField(source="to_status")
    actor = serializers.SerializerMethodField()

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which Python reserves, so a class attribute cannot have this name."""
        return {**super().get_fields(), "from": serializers.CharField(source="from_status")}

    def get_actor(self, row: Any) -> str:
        """Return who did it. An operator appears without a name."""
        return str(row.actor).partition(":")[0]


class SagaSerializer(serializers.Serializer[Any]):
    """The timeline of an order."""

    status = serializers.ChoiceField(choices=list(SagaStatus))
    deadline = serializers.DateTimeField()
    waiting_for = serializers.SerializerMethodField()
    steps = StepSerializer(many=True)
    history = HistorySerializer(many=True)

    def get_waiting_for(self, saga: Saga) -> list[str]:
        """Return a sentence for each unfinished step: what it waits for. Only staff sees the text of an error."""
        return waiting_for(saga, errors=bool(self.context.get("staff")))
