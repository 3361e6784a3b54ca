"""The app of the release."""

from django.apps import AppConfig


class ParcelsConfig(AppConfig):
    name = "tests.messaging.releases.before"
    label = "parcels"

    def ready(self) -> None:
        from tests.messaging.releases.before import handlers  # noqa: F401
