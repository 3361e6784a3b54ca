"""The operators' view of users and purchases."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from messaging.admin import ReadOnlyAdmin, RefusesStaleForms, SearchByIds
from user_app import services
from user_app.models import IdempotencyKey, Purchase, Session, User
from user_app.sessions import End, end_sessions

#: Only superusers change these. Otherwise staff could raise their own rights, directly or through another account.
PRIVILEGES = ("is_superuser", "groups", "user_permissions")


@admin.register(User)
class UserAdmin(RefusesStaleForms, DjangoUserAdmin):  # type: ignore[type-arg]
    """Users. Every change goes through the services, which publish it. A user is deactivated, never deleted."""

    list_display = ("username", "id", "email", "is_active", "is_staff", "version", "date_joined")
    list_filter = ("is_active", "is_staff", "is_superuser", "date_joined")
    search_fields = ("username", "email", "id")
    readonly_fields = ("id", "version", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("id", "username", "email", "password")}),
        ("What it may do", {"fields": ("is_active", "is_staff", *PRIVILEGES)}),
        ("History", {"fields": ("version", "last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "email", "usable_password", "password1", "password2")}),)
    actions = ("deactivate", "reactivate")

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuse: other services still store the id."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Only superusers and the owner edit a staff account: a new password or email address gives control over it."""
        if not super().has_change_permission(request, obj):
            return False
        return (
            obj is None or _is_superuser(request) or obj.pk == request.user.pk or not (obj.is_staff or obj.is_superuser)
        )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Return the read-only fields. Only superusers can edit privileges."""
        return (*self.readonly_fields, *(() if _is_superuser(request) else (*PRIVILEGES, "is_staff")))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> User | None:
        """Return the user. A POST locks it, so that saving the form cannot overwrite a change made after the read."""
        user: User | None = super().get_object(request, object_id, from_field)
        if user is None or request.method != "POST":
            return user
        return services.lock_user(user_id=user.pk)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Store the user through the service, which publishes the change."""
        services.save_user(user=obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Change a password and end the sessions, in one transaction, which the lock of get_object() needs."""
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            if isinstance(response, HttpResponseRedirect):
                end_sessions(user_id=UUID(id), reason=End.PASSWORD_CHANGED)
            return response

    @admin.action(description="Deactivate: their orders are refused, their sessions end", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Deactivate the chosen users, except the caller."""
        self._set_active(request, queryset.exclude(username=request.user.get_username()), active=False)

    @admin.action(description="Reactivate", permissions=["change"])
    def reactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Reactivate the chosen users."""
        self._set_active(request, queryset, active=True)

    def _set_active(self, request: HttpRequest, queryset: QuerySet[User], *, active: bool) -> None:
        if not _is_superuser(request):
            queryset = queryset.filter(is_staff=False, is_superuser=False)
        chosen: list[UUID] = list(queryset.exclude(is_active=active).order_by("pk").values_list("pk", flat=True))
        with transaction.atomic():
            for user_id in chosen:
                user = services.set_active(user_id=user_id, active=active)
                self.log_change(request, user, "Reactivated." if active else "Deactivated.")
        word = "reactivated" if active else "deactivated"
        self.message_user(request, f"{len(chosen)} users {word}.", messages.SUCCESS)


def _is_superuser(request: HttpRequest) -> bool:
    return getattr(request.user, "is_superuser", False)


class RoleAdmin(RefusesStaleForms, GroupAdmin):
    """Groups. Some are roles, so only superusers write them: a new name would raise the rights of all members."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only superusers."""
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Only superusers."""
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Only superusers."""
        return _is_superuser(request)


admin.site.unregister(Group)
admin.site.register(Group, RoleAdmin)


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Who is signed in where. The ids of refresh tokens are not shown: they are half of a credential's evidence."""

    list_display = ("id", "user", "created_at", "refreshed_at", "expires_at", "ended_at", "end_reason", "device")
    list_filter = ("end_reason", "created_at")
    list_select_related = ("user",)
    search_fields = ("id", "user__id")
    exclude = ("token_id", "previous_token_id", "password_mark")


@admin.register(Purchase)
class PurchaseAdmin(ReadOnlyAdmin):
    """The purchase history. Only events write it: without its row, or after an edit, an event could count twice."""

    list_display = ("order_id", "user_id", "state", "total", "discount", "currency", "confirmed_at", "canceled_at")
    list_filter = ("state", "currency", "confirmed_at")
    search_fields = ("order_id", "user_id")
    date_hierarchy = "confirmed_at"


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(SearchByIds, ReadOnlyAdmin):
    """The first answer to each request that has an Idempotency-Key."""

    list_display = ("key", "user_id", "target", "created_at")
    id_fields = ("user_id",)
