"""Registers the coupon service with Django and its handlers with messaging."""

from __future__ import annotations

from django.apps import AppConfig


class CouponAppConfig(AppConfig):
    name = "coupon_app"
    label = "coupon_app"
    verbose_name = "Coupons"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from coupon_app import handlers  # noqa: F401  (importing it registers the subscriptions)
