"""Addresses under /api/v1/."""

from __future__ import annotations

from django.urls import path

from user_app.api import sessions, views

urlpatterns = [
    path("users", views.UsersView.as_view(), name="users"),
    path("users/me", views.MeView.as_view(), name="me"),
    path("users/me/purchases", views.PurchasesView.as_view(), name="purchases"),
    path("token", sessions.TokenView.as_view(), name="token"),
    path("users/me/sessions", sessions.SessionsView.as_view(), name="sessions"),
    path("users/me/sessions/<id:session_id>", sessions.SessionView.as_view(), name="session"),
    path("token/refresh", sessions.RefreshView.as_view(), name="token-refresh"),
    path("token/revoke", sessions.RevokeView.as_view(), name="token-revoke"),
]
