"""The app of the release."""

from django.apps import AppConfig


class ParcelsConfig(AppConfig):
    name = "tests.messaging.releases.between"
    label = "parcels"

    def ready(self) -> None:
        from tests.messaging.releases.between import handlers  # noqa: F401
