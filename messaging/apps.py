"""The Django app that every project installs."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MessagingConfig(AppConfig):
    """Connects the wake of the relay to the signal of recorded events, and registers the system checks."""

    name = "messaging"
    verbose_name = _("Messaging")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from messaging import checks
        from messaging.outbox import notifier

        notifier.connect()
        checks.register_all()
