"""Celery app of whichever project DJANGO_SETTINGS_MODULE names; hosts the Kafka consumer and the outbox relay."""

from __future__ import annotations

from celery import Celery
from django.apps import apps
from django.conf import settings

from messaging.bootsteps import install

app = Celery(settings.SERVICE_NAME)
app.config_from_object(settings.CELERY)
app.autodiscover_tasks(lambda: [config.name for config in apps.get_app_configs()])
install(app)
