"""What lists of products can be filtered by."""

from __future__ import annotations

import django_filters

from product_app.models import Product


class ProductFilter(django_filters.FilterSet):
    """?name= (part of it, any case) ?currency= ?active= (false shows something to staff only)."""

    name = django_filters.CharFilter(lookup_expr="icontains", max_length=200)

    class Meta:
        model = Product
        fields = ["name", "currency", "active"]
