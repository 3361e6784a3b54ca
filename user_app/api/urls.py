"""Addresses under /api/v1/."""

from __future__ import annotations

from django.urls import path

from user_app.api import views

urlpatterns = [
    path("users", views.UsersView.as_view(), name="users"),
    path("users/me", views.MeView.as_view(), name="me"),
    path("users/me/purchases", views.PurchasesView.as_view(), name="purchases"),
    path("token", views.TokenView.as_view(), name="token"),
    path("token/refresh", views.RefreshView.as_view(), name="token-refresh"),
]
