"""The events: v2 of ParcelSent is what handlers get, v1 is what is published until no old consumer runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from messaging import Event, event, upcaster


@event("sample.ParcelPacked.v1", topic=settings.SAMPLE_TOPIC, key="key")
class ParcelPacked(Event):
    """A parcel is ready; the number is its weight in kilograms too."""

    key: str
    number: int


@event("sample.ParcelSent.v1", topic=settings.SAMPLE_TOPIC, key="key")
class ParcelSentV1(Event):
    """A parcel is on its way; its weight is in kilograms."""

    key: str
    number: int
    weight: int


@event("sample.ParcelSent.v2", topic=settings.SAMPLE_TOPIC, key="key")
class ParcelSent(Event):
    """A parcel is on its way; its weight is in grams."""

    key: str
    number: int
    grams: int


@upcaster("sample.ParcelSent.v1", "sample.ParcelSent.v2")
def from_v1(data: dict[str, Any]) -> dict[str, Any]:
    """A kilogram is a thousand grams."""
    return {"key": data["key"], "number": data["number"], "grams": 1000 * data["weight"]}
