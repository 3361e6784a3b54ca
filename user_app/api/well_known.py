"""Addresses under /.well-known/, where the other services look for the keys."""

from __future__ import annotations

from django.urls import path

from user_app.api import views

urlpatterns = [path("jwks.json", views.jwks, name="jwks")]
