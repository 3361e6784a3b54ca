"""Serializer fields that are stricter than the framework's."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework import serializers


class AmountField(serializers.DecimalField):
    """A decimal number. DRF's field also takes an empty text for null, which would lose a value."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        """Return whether `data` is null or left out, and the value then."""
        found: tuple[bool, Any] = serializers.Field.validate_empty_values(self, data)
        return found


class IdField(serializers.UUIDField):
    """A UUID as text. DRF's field also accepts numbers, and reads true and false as 1 and 0."""

    def to_internal_value(self, data: Any) -> UUID:
        """Return the id; ValidationError unless it is the text of a UUID."""
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        identifier: UUID = super().to_internal_value(data)
        return identifier
