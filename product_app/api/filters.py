"""The filters of lists of products."""

from __future__ import annotations

import django_filters

from product_app.models import Product


class ProductFilter(django_filters.FilterSet):
    """?name= (a part of it, in any case), ?currency=, ?active= (only staff gets results for false)."""

    name = django_filters.CharFilter(lookup_expr="icontains", max_length=200)

    class Meta:
        model = Product
        fields = ["name", "currency", "active"]
