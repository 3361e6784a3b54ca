"""Filters of lists: ?name=value. What would be ignored is refused, since it would list everything."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from django_filters.utils import translate_validation
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from webapi.unknown_names import refusals

TWICE = "Given more than once; give it once."
IGNORED = "Not a valid value. Give another one, or leave the parameter out."


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter's backend. Unlike that, it refuses a misspelled filter and a value that it would ignore."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Return the filtered rows; ValidationError (400) for an unknown parameter or a bad value."""
        filters = self.get_filterset_class(view, queryset)
        refuse_unknown_parameters(request, [*(filters.base_filters if filters else ()), *pages_of(view.paginator)])
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            raise translate_validation(filterset.errors)
        _refuse_ignored(request, filterset.form.cleaned_data)
        rows: QuerySet[Any] = filterset.qs
        return rows


def _refuse_ignored(request: Request, read: dict[str, Any]) -> None:
    # ?active=maybe and ?user_id= are valid for django-filter: they filter nothing.
    ignored = [name for name, value in read.items() if name in request.query_params and value in (None, "")]
    if ignored:
        raise ValidationError({name: [IGNORED] for name in ignored})


def pages_of(paginator: Any) -> list[str]:
    """Return the names of the paginator's query parameters."""
    return [each["name"] for each in paginator.get_schema_operation_parameters(None)]


def refuse_unknown_parameters(request: Request, known: Collection[str]) -> None:
    """Raise ValidationError (400), with the known parameters, if the query has an unknown or a repeated one."""
    twice = {name: [TWICE] for name, values in request.query_params.lists() if len(values) > 1}
    if refused := twice | refusals(request.query_params, known):
        raise ValidationError(refused)
