"""The filters of the lists: ?name=value."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.utils import timezone

from coupon_app.domain import CouponStatus
from coupon_app.models import Campaign, Coupon


class CampaignFilter(django_filters.FilterSet):
    """By kind, currency, part of the name, and whether the campaign is valid now."""

    name = django_filters.CharFilter(lookup_expr="icontains")
    active = django_filters.BooleanFilter(method="filter_active", label="Whether its coupons are valid now.")

    class Meta:
        model = Campaign
        fields = ("kind", "currency", "name", "active")

    def filter_active(self, campaigns: QuerySet[Campaign], name: str, value: bool) -> QuerySet[Campaign]:
        """Keep the campaigns that are valid now; with false, the others."""
        now = timezone.now()
        valid = {"valid_from__lte": now, "valid_until__gt": now}
        return campaigns.filter(**valid) if value else campaigns.exclude(**valid)


class CouponFilter(django_filters.FilterSet):
    """By campaign and by status."""

    campaign_id = django_filters.UUIDFilter()
    status = django_filters.ChoiceFilter(field_name="state", choices=[(str(each), str(each)) for each in CouponStatus])

    class Meta:
        model = Coupon
        fields = ("campaign_id", "status")
