"""The events."""

from __future__ import annotations

from django.conf import settings

from messaging import Event, event


@event("sample.ParcelPacked.v1", topic=settings.SAMPLE_TOPIC, key="key")
class ParcelPacked(Event):
    """A parcel is ready; the number is its weight in kilograms too."""

    key: str
    number: int


@event("sample.ParcelSent.v1", topic=settings.SAMPLE_TOPIC, key="key")
class ParcelSent(Event):
    """A parcel is on its way; its weight is in kilograms."""

    key: str
    number: int
    weight: int
