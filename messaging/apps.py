"""The Django app that every project installs."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MessagingConfig(AppConfig):
    """Connects the wake of the relay and the set-up of database sessions, and registers the system checks."""

    name = "messaging"
    verbose_name = _("Messaging")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from messaging import checks, session
        from messaging.outbox import notifier

        notifier.connect()
        session.connect()
        checks.register_all()
