"""The JSON of requests and responses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from coupon_app.domain import CouponStatus
from coupon_app.models import Campaign, Claim, Coupon
from webapi.fields import IdField
from webapi.serializers import StrictModelSerializer, StrictSerializer

MAX_COUNT = 2_147_483_647  # the largest value of the column


class MoneyField(serializers.DecimalField):
    """A decimal as a JSON string, without trailing zeros."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=20, decimal_places=4, normalize_output=True, **options)


class CampaignSerializer(StrictModelSerializer):
    """A campaign, in requests and in responses."""

    value = MoneyField()
    minimum_order = MoneyField(default=Decimal(0))
    quantity = serializers.IntegerField(min_value=1, max_value=MAX_COUNT)
    per_user_limit = serializers.IntegerField(min_value=1, max_value=MAX_COUNT, default=1)
    currency = serializers.CharField(max_length=3, allow_null=True, default=None)

    class Meta:
        model = Campaign
        fields = (
            "id",
            "name",
            "kind",
            "value",
            "currency",
            "minimum_order",
            "valid_from",
            "valid_until",
            "quantity",
            "per_user_limit",
            "granted",
            "created_at",
        )
        read_only_fields = ("granted", "created_at")


class GrantSerializer(StrictSerializer):
    """The body with which staff grants a user a coupon."""

    campaign_id = IdField()
    user_id = IdField()
    reason = serializers.CharField(max_length=500, default="", allow_blank=True)


class CouponSerializer(serializers.ModelSerializer[Coupon]):
    """A coupon with its current status. The coupon must come from selectors.with_state()."""

    status = serializers.ChoiceField(choices=[str(status) for status in CouponStatus], source="state")
    campaign_name = serializers.CharField(source="campaign.name")
    valid_until = serializers.DateTimeField(source="campaign.valid_until")

    class Meta:
        model = Coupon
        fields = ("id", "campaign_id", "campaign_name", "user_id", "status", "order_id", "valid_until", "granted_at")
        read_only_fields = fields


class ClaimSerializer(serializers.ModelSerializer[Claim]):
    """A claim and its result."""

    class Meta:
        model = Claim
        fields = ("id", "campaign_id", "status", "coupon_id", "requested_at", "decided_at")
        read_only_fields = fields
