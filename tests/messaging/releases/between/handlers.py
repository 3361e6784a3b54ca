"""Publishes v1 still, and takes v1 and v2; writes both columns."""

from __future__ import annotations

from messaging import Context, publish, subscribe
from tests.messaging.releases.between.events import ParcelPacked, ParcelSent, ParcelSentV1
from tests.messaging.releases.between.models import Parcel


@subscribe(ParcelPacked, replay="skip")
def on_parcel_packed(event: ParcelPacked, context: Context) -> None:
    publish(ParcelSentV1(key=event.key, number=event.number, weight=event.number))


@subscribe(ParcelSent, replay="skip")
def on_parcel_sent(event: ParcelSent, context: Context) -> None:
    weight = event.grams // 1000
    Parcel.objects.create(key=event.key, number=event.number, weight=weight, grams=event.grams, release="between")
