"""Publishes v2; takes v1 and v2."""

from __future__ import annotations

from messaging import Context, publish, subscribe
from tests.messaging.releases.after.events import ParcelPacked, ParcelSent
from tests.messaging.releases.after.models import Parcel


@subscribe(ParcelPacked, replay="skip")
def on_parcel_packed(event: ParcelPacked, context: Context) -> None:
    publish(ParcelSent(key=event.key, number=event.number, grams=1000 * event.number))


@subscribe(ParcelSent, replay="skip")
def on_parcel_sent(event: ParcelSent, context: Context) -> None:
    Parcel.objects.create(key=event.key, number=event.number, grams=event.grams, release="after")
