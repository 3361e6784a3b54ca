"""Django's entry to the user service's app."""

from __future__ import annotations

from django.apps import AppConfig


class UserAppConfig(AppConfig):
    """Registers what the service consumes when Django is ready."""

    name = "user_app"
    label = "user_app"
    verbose_name = "Users"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the handlers, which subscribes them."""
        from user_app import handlers  # noqa: F401
