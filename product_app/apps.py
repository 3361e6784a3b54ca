"""The Django app of the product service."""

from __future__ import annotations

from django.apps import AppConfig


class ProductConfig(AppConfig):
    name = "product_app"
    label = "product_app"
    verbose_name = "Products"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from product_app import handlers  # noqa: F401, PLC0415  importing registers the subscriptions
