"""The least that mypy's Django plugin needs to know the library's models."""

from typing import Any

SECRET_KEY = "only for the type checker"
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "messaging"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SERVICE_NAME = "typing"
WEB_DATABASE_SECONDS = 5
MESSAGING: dict[str, Any] = {"SERVICE": "typing", "BOOTSTRAP_SERVERS": []}
CELERY: dict[str, Any] = {}
