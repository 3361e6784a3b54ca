"""The sample app."""

from django.apps import AppConfig


class SampleConfig(AppConfig):
    name = "tests.messaging.sample"
    label = "sample"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tests.messaging.sample import handlers  # noqa: F401
