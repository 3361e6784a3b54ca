"""The Django app of the order service."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class OrderAppConfig(AppConfig):
    """Orders, their sagas, and the local copies of products and users."""

    name = "order_app"
    label = "order_app"
    verbose_name = "Orders"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register this service's event handlers."""
        import_module("order_app.handlers")
