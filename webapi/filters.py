"""Filters of lists: ?name=value. An unknown parameter is refused."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from webapi.unknown_names import refusals


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter's backend. Without this, a misspelled filter would list everything."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Return the filtered rows; ValidationError (400) for an unknown parameter or a bad value."""
        filters = self.get_filterset_class(view, queryset)
        refuse_unknown_parameters(request, [*(filters.base_filters if filters else ()), *pages_of(view.paginator)])
        return super().filter_queryset(request, queryset, view)


def pages_of(paginator: Any) -> list[str]:
    """Return the names of the paginator's query parameters."""
    return [each["name"] for each in paginator.get_schema_operation_parameters(None)]


def refuse_unknown_parameters(request: Request, known: Collection[str]) -> None:
    """Raise ValidationError (400), with the known parameters, if the query has an unknown one."""
    if unknown := refusals(request.query_params, known):
        raise ValidationError(unknown)
