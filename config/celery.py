"""The Celery app of the project that DJANGO_SETTINGS_MODULE names. It hosts the Kafka consumer and the outbox relay.

The schedule consists of the BEAT_SCHEDULE of config/tasks.py and of every app's tasks.py.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import django
from celery import Celery
from django.apps import apps
from django.conf import settings

from messaging.worker.bootsteps import install


def schedule() -> dict[str, Any]:
    """Return the beat schedules of the project and the installed apps, merged."""
    merged: dict[str, Any] = {}
    for name in with_tasks():
        if find_spec(f"{name}.tasks"):
            merged.update(getattr(import_module(f"{name}.tasks"), "BEAT_SCHEDULE", {}))
    return merged


def with_tasks() -> list[str]:
    """Return the packages that may have tasks: `config` and the installed apps."""
    return [__name__.partition(".")[0], *(config.name for config in apps.get_app_configs())]


django.setup()
app = Celery(settings.SERVICE_NAME)
app.config_from_object(settings.CELERY)
app.autodiscover_tasks(with_tasks)
app.conf.beat_schedule = schedule()
install(app)
