"""The base of every admin page: rows are shown and searched, and events or services alone write them."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest


class ReadOnly:
    """Refuses to add, change and delete rows, in an admin page or an inline. Viewing takes the model's permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A table that is shown and never edited. It may be large: its rows are not counted without a filter."""

    show_full_result_count = False
    list_per_page = 50


class AppendOnlyAdmin(ReadOnlyAdmin):
    """A table to which users with the model's permission add rows; a row that exists is never changed."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)


class SearchByIds(admin.ModelAdmin):  # type: ignore[type-arg]
    """A page that is searched by whole ids, which have indexes, and by parts of texts where it names some."""

    #: Searched when the text is an id.
    id_fields: tuple[str, ...] = ("pk",)
    #: Searched when the text is no id. Without any, such a search finds nothing.
    text_fields: tuple[str, ...] = ()

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.text_fields or self.id_fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        wanted = uuid_of(search_term)
        if wanted is not None:
            return queryset.filter(reduce(or_, (Q(**{name: wanted}) for name in self.id_fields))), False
        if search_term.strip() and not self.text_fields:
            return queryset.none(), False
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        return found, may_have_duplicates


def uuid_of(text: str) -> UUID | None:
    """Return the id that a text is, if it is one."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None
