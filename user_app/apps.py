"""The Django app of the user service."""

from __future__ import annotations

from django.apps import AppConfig


class UserAppConfig(AppConfig):
    """Registers the event handlers when Django is ready."""

    name = "user_app"
    label = "user_app"
    verbose_name = "Users"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the handlers, which registers them."""
        from user_app import handlers  # noqa: F401
