"""Addresses of the product service, under /api/v1/."""

from __future__ import annotations

from django.urls import path

from product_app.api import views

urlpatterns = [
    path("products", views.ProductsView.as_view(), name="products"),
    path("products/<id:product_id>", views.ProductView.as_view(), name="product"),
    path(
        "products/<id:product_id>/stock-adjustments",
        views.StockAdjustmentsView.as_view(),
        name="stock-adjustments",
    ),
]
