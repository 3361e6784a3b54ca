"""Filters of the lists: open dead letters first, what went wrong and how often, and names that the code knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from messaging.admin.rendering import shortened
from messaging.conf import conf
from messaging.event import all_specs
from messaging.operations.selectors import dead_letters, groups_of
from messaging.registry import handler_names


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


class KnownFilter(admin.SimpleListFilter):
    """Filters a column by the names that the code knows: Django would ask a table of millions for its distinct ones."""

    def names(self) -> Iterable[str]:
        """Return the names to choose from."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, name) for name in self.names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() is None else queryset.filter(**{self.parameter_name or "": self.value()})


def known_filter(column: str, title: Any, names: Callable[[], Iterable[str]]) -> type[KnownFilter]:
    """Return a KnownFilter of a service's own table."""
    attributes = {"title": title, "parameter_name": column, "names": lambda self: names()}
    return type(f"{column.title()}Filter", (KnownFilter,), attributes)


class HandlerFilter(KnownFilter):
    """By handler."""

    title, parameter_name = _("handler"), "handler"

    def names(self) -> Iterable[str]:
        return handler_names()


class TopicFilter(KnownFilter):
    """By topic: those that this service owns, and those that it reads."""

    title, parameter_name = _("topic"), "topic"

    def names(self) -> Iterable[str]:
        return sorted({*conf().topics, *(topic for topics in conf().groups.values() for topic in topics)})


class TypeFilter(KnownFilter):
    """By type of event."""

    title, parameter_name = _("type"), "type"

    def names(self) -> Iterable[str]:
        return sorted(spec.type for spec in all_specs())
