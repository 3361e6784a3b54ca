"""The filters of the list of orders."""

from __future__ import annotations

from django_filters import rest_framework as filters

from order_app.domain import OrderStatus
from order_app.models import Order


class OrderFilter(filters.FilterSet):
    """?status= is for every user, ?user_id= is for staff. A customer sees only their own orders."""

    status = filters.ChoiceFilter(choices=[(status.value, status.value) for status in OrderStatus])
    user_id = filters.UUIDFilter()

    class Meta:
        model = Order
        fields = ["status", "user_id"]
