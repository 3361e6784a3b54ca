"""Outbox rows: published, put there by hand where publish() would refuse, and looked at."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from django.db import transaction

from messaging import new_id, publish_all
from messaging.event import encode
from messaging.models import OutboxRow
from messaging.outbox.envelope import Envelope
from messaging.outbox.publish import insert
from tests.messaging.sample.events import NoteAdded


def publish_notes(*notes: tuple[str, int]) -> None:
    """Publish notes, given as (key, number), in one transaction."""
    with transaction.atomic():
        publish_all((NoteAdded(key=key, number=number), None) for key, number in notes)


def put(*envelopes: Envelope) -> None:
    """Insert rows as they are."""
    with transaction.atomic():
        insert(envelopes)


def envelope(topic: str, key: str, number: int, *, size: int = 0) -> Envelope:
    """Return a note for any topic, of about `size` bytes."""
    data = encode(NoteAdded(key=key, number=number, behaviour="x" * size))
    return Envelope(str(new_id()), topic, key, "sample.NoteAdded.v1", datetime.now(UTC), key, None, "", data)


def waiting() -> list[tuple[str, int]]:
    """Return the (key, number) of the notes in the outbox, in order."""
    rows = OutboxRow.objects.filter(type="sample.NoteAdded.v1").order_by("id").values_list("key", "data")
    return [(key, json.loads(bytes(data))["number"]) for key, data in rows]
