"""Products and stock adjustments as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from money import MINOR_UNITS, stored
from product_app.domain import InvalidPrice, check_price
from product_app.models import MOST_PIECES, Product
from webapi.serializers import StrictSerializer


class ProductSerializer(serializers.ModelSerializer):
    """A product, as every caller sees it. `price` is text with the currency's digits; `available` is the stock."""

    price = serializers.SerializerMethodField()
    available = serializers.IntegerField(source="quantity")

    class Meta:
        model = Product
        fields = ["id", "name", "price", "currency", "active", "version", "available"]

    def get_price(self, product: Product) -> str:
        return str(stored(product.price, product.currency))


class ProductInput(StrictSerializer):
    """What staff can set of a product. Stock changes only by adjustments."""

    name = serializers.CharField(max_length=200)
    price = serializers.DecimalField(max_digits=18, decimal_places=3, min_value=0)
    currency = serializers.ChoiceField(
        choices=list(MINOR_UNITS),
        error_messages={"invalid_choice": '"{input}" is not an ISO 4217 currency with a minor unit.'},
    )
    active = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "price" in attrs and "currency" in attrs:
            try:
                check_price(attrs["price"], attrs["currency"])
            except InvalidPrice as error:
                raise serializers.ValidationError({"price": [str(error)]}) from error
        return attrs


class StockAdjustmentInput(StrictSerializer):
    """`delta` pieces more, or less when below zero, and why."""

    delta = serializers.IntegerField(min_value=-MOST_PIECES, max_value=MOST_PIECES)
    reason = serializers.CharField(max_length=500)

    def validate_delta(self, delta: int) -> int:
        if delta == 0:
            raise serializers.ValidationError("The change must not be zero.")
        return delta


class StockAdjustmentSerializer(serializers.Serializer):
    """A stored adjustment; `quantity` is the product's current stock."""

    id = serializers.IntegerField()
    product_id = serializers.UUIDField()
    delta = serializers.IntegerField()
    reason = serializers.CharField()
    quantity = serializers.IntegerField(source="product.quantity")
