"""The root URLs of every service: health, the OpenAPI schema and its pages."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

# Importing it registers the bearer scheme with drf-spectacular.
from webapi import health, schema  # noqa: F401

OPEN: dict[str, Any] = {"authentication_classes": [], "permission_classes": []}

urlpatterns = [
    path("livez", health.live, name="livez"),
    path("readyz", health.ready, name="readyz"),
    path("api/schema", SpectacularAPIView.as_view(**OPEN), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema", **OPEN), name="docs"),
]
