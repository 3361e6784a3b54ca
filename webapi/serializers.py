"""The base of every request body: what it does not know is refused, for a misspelled field would be lost silently.

`"coupon"` for `"coupon_id"` once placed orders at the full price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from webapi.unknown_names import refusals


class RefusesUnknownFields:
    """Adds to a serializer: a field that it does not know, or does not let be written, is a validation error."""

    fields: Mapping[str, serializers.Field]

    def to_internal_value(self, data: Any) -> Any:
        """Return the native values; ValidationError with the unknown fields beside all other errors."""
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
    """A request body, or an object in one."""


class StrictModelSerializer(RefusesUnknownFields, serializers.ModelSerializer[Any]):
    """A request body whose fields are those of a model."""


class NoFields(StrictSerializer):
    """The body of a request that needs none: empty, or left out."""


def read_body(body: type[StrictSerializer | StrictModelSerializer], request: Request, **options: Any) -> dict[str, Any]:
    """Return the validated body of the request; ValidationError (400). `options` are the serializer's, as partial."""
    if not issubclass(body, RefusesUnknownFields):
        raise TypeError(f"{body.__name__} would ignore unknown fields; derive it from StrictSerializer")
    serializer = body(data=request.data, **options)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
