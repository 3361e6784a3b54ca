"""Celery app of whichever project DJANGO_SETTINGS_MODULE names; hosts the Kafka consumer and the outbox relay.

Every app's tasks.py may declare a BEAT_SCHEDULE; together they are the schedule.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import django
from celery import Celery
from django.apps import apps
from django.conf import settings

from messaging.bootsteps import install


def schedule() -> dict[str, Any]:
    """Return the beat schedules of the installed apps, merged."""
    merged: dict[str, Any] = {}
    for config in apps.get_app_configs():
        if find_spec(f"{config.name}.tasks"):
            merged.update(getattr(import_module(f"{config.name}.tasks"), "BEAT_SCHEDULE", {}))
    return merged


django.setup()
app = Celery(settings.SERVICE_NAME)
app.config_from_object(settings.CELERY)
app.autodiscover_tasks(lambda: [config.name for config in apps.get_app_configs()])
app.conf.beat_schedule = schedule()
install(app)
