"""Filters of the list of dead letters: open ones first, and what went wrong with how often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from messaging.admin.rendering import shortened
from messaging.operations.selectors import dead_letters, groups_of


class OpenFilter(admin.SimpleListFilter):
    """Open ones alone, unless the operator wants to see others too."""

    title, parameter_name = _("open"), "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("no", _("Resolved")), ("all", _("All"))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": _("Open")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(resolved_at__isnull=self.value() != "no")


class FingerprintFilter(admin.SimpleListFilter):
    """What went wrong, with how many open letters each has."""

    title, parameter_name = _("what went wrong"), "fingerprint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        counts: dict[str, int] = {}
        for group in groups_of(dead_letters()):
            counts[group.fingerprint] = counts.get(group.fingerprint, 0) + group.count
        return [(text, f"{shortened(text, 60)} ({count})") for text, count in counts.items() if text]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() is None else queryset.filter(fingerprint=self.value())
