"""Addresses under /api/v1/."""

from __future__ import annotations

from django.urls import path

from order_app.api import views

urlpatterns = [
    path("orders", views.Orders.as_view(), name="orders"),
    path("orders/<id:order_id>", views.OrderDetail.as_view(), name="order"),
    path("orders/<id:order_id>/cancel", views.CancelOrder.as_view(), name="order-cancel"),
    path("orders/<id:order_id>/saga", views.OrderSaga.as_view(), name="order-saga"),
]
