"""The base of every request body. It refuses unknown fields, since a misspelled field would be lost silently.

For example, an order with `"coupon"` instead of `"coupon_id"` would be placed at the full price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from webapi.unknown_names import refusals


class RefusesUnknownFields:
    """Adds to a serializer: an unknown or read-only field is a validation error."""

    fields: Mapping[str, serializers.Field]

    def to_internal_value(self, data: Any) -> Any:
        """Return the native values. ValidationError has the unknown fields and all other errors."""
        refused = self._refused(data)
        try:
            value = super().to_internal_value(data)  # type: ignore[misc]
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**refused, **error.detail}) from error
        if refused:
            raise serializers.ValidationError(refused)
        return value

    def _refused(self, data: Any) -> dict[str, list[str]]:
        writable = [name for name, field in self.fields.items() if not field.read_only]
        return refusals(data, writable) if isinstance(data, Mapping) else {}


class StrictSerializer(RefusesUnknownFields, serializers.Serializer[Any]):
    """A request body, or an object in one. Unknown fields are refused."""


class StrictModelSerializer(RefusesUnknownFields, serializers.ModelSerializer[Any]):
    """A request body whose fields are those of a model."""


class NoFields(StrictSerializer):
    """The body of a request without fields: an empty object, or no body."""


def read_body(body: type[StrictSerializer | StrictModelSerializer], request: Request, **options: Any) -> dict[str, Any]:
    """Return the validated body of the request; ValidationError (400). `options` go to the serializer (`partial`)."""
    if not issubclass(body, RefusesUnknownFields):
        raise TypeError(f"{body.__name__} would ignore unknown fields; derive it from StrictSerializer")
    serializer = body(data=request.data, **options)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
