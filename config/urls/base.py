"""The URLs of every project, in addition to those of its app."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, reverse

from config import accounts_admin

# Importing `ids` registers `<id:…>`, which the apps' addresses use.
from webapi import ids  # noqa: F401
from webapi.admin_login import LimitedLoginForm, LimitedPasswordChangeForm

admin.site.login_form = LimitedLoginForm


def change_password(request: HttpRequest) -> HttpResponseBase:
    """Show Django's page for one's own password, with a form that counts failures."""
    view = PasswordChangeView.as_view(
        form_class=LimitedPasswordChangeForm,
        success_url=reverse("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    return view(request)


def service_urls(app: str) -> list[URLPattern | URLResolver]:
    """Return the URL patterns of the project whose app is `app`: its API, the admin, health and documentation."""
    accounts_admin.register()
    return [
        path("api/v1/", include(f"{app}.api.urls")),
        path("admin/password_change/", admin.site.admin_view(change_password, cacheable=True)),
        path("admin/", admin.site.urls),
        path("", include("webapi.urls")),
    ]
