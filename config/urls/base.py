"""The URLs of every project, in addition to those of its app."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from config import accounts_admin

# Importing `ids` registers `<id:…>`, which the apps' addresses use.
from webapi import ids  # noqa: F401
from webapi.admin_login import LimitedLoginForm

admin.site.login_form = LimitedLoginForm


def service_urls(app: str) -> list[URLPattern | URLResolver]:
    """Return the URL patterns of the project whose app is `app`: its API, the admin, health and documentation."""
    accounts_admin.register()
    return [
        path("api/v1/", include(f"{app}.api.urls")),
        path("admin/", admin.site.urls),
        path("", include("webapi.urls")),
    ]
