"""The operators' accounts and groups in the admin: Django's own pages, whose forms refuse to bring old values back."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from messaging.admin import RefusesStaleForms


class FreshGroupAdmin(RefusesStaleForms, GroupAdmin):
    """Groups and their permissions."""


class FreshUserAdmin(RefusesStaleForms, UserAdmin):  # type: ignore[type-arg]
    """The operators of a service that has no users of its own."""


def register() -> None:
    """Put these pages in the place of Django's. The user service has a page of its own for its users."""
    pages: tuple[tuple[type, type], ...] = ((Group, FreshGroupAdmin), (User, FreshUserAdmin))
    for model, page in pages:
        if admin.site.is_registered(model) and not isinstance(admin.site.get_model_admin(model), RefusesStaleForms):
            admin.site.unregister(model)
            admin.site.register(model, page)
