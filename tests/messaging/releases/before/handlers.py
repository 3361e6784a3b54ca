"""Publishes v1 and subscribes to it."""

from __future__ import annotations

from messaging import Context, publish, subscribe
from tests.messaging.releases.before.events import ParcelPacked, ParcelSent
from tests.messaging.releases.before.models import Parcel


@subscribe(ParcelPacked, replay="skip")
def on_parcel_packed(event: ParcelPacked, context: Context) -> None:
    publish(ParcelSent(key=event.key, number=event.number, weight=event.number))


@subscribe(ParcelSent, replay="skip")
def on_parcel_sent(event: ParcelSent, context: Context) -> None:
    Parcel.objects.create(key=event.key, number=event.number, weight=event.weight, release="before")
