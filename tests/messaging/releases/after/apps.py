"""The app of the release."""

from django.apps import AppConfig


class ParcelsConfig(AppConfig):
    name = "tests.messaging.releases.after"
    label = "parcels"

    def ready(self) -> None:
        from tests.messaging.releases.after import handlers  # noqa: F401
