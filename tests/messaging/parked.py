"""Setting up parked keys: notes that fail until a test lets them pass, and a look at what became of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings as django_settings
from django.db import connection

from messaging.consumer.retry_parked import retry_due
from messaging.errors import TransientError
from messaging.models import InboxRow, ParkedKey
from tests.messaging.sample import handlers
from tests.messaging.sample.events import NoteAdded

SINGLE = "tests.on_note_added"
BATCH = "tests.on_note_added_batch"


class Gate:
    """While it is shut, the single handler fails for notes with the behaviour "gated"."""

    def __init__(self) -> None:
        self.open = False
        self.error: Callable[[], Exception] = lambda: TransientError("the gate is shut")
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, event: NoteAdded, context: Any) -> None:
        self.calls.append((event.key, event.number, context.attempt))
        if not self.open:
            raise self.error()


def gate(monkeypatch: Any) -> Gate:
    """Set up a shut gate."""
    gate = Gate()
    monkeypatch.setitem(handlers.behaviours, "gated", gate)
    return gate


def is_parked(key: str) -> bool:
    return ParkedKey.objects.filter(topic=django_settings.SAMPLE_TOPIC, key=key).exists()


def queue_of(key: str) -> list[tuple[int, str, str]]:
    """Return the offsets, handlers and states in a key's queue."""
    rows = InboxRow.objects.filter(key=key, raw__isnull=False).order_by("offset", "handler")
    return list(rows.values_list("offset", "handler", "state"))


def make_due() -> None:
    """Let the time pass that waiting events have to wait."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messaging_inbox SET next_attempt_at = now() WHERE state = 'waiting'")
        cursor.execute(
            "UPDATE messaging_parked_key SET look_at = now() WHERE id IN"
            " (SELECT id FROM messaging_parked_key FOR NO KEY UPDATE SKIP LOCKED)"
        )


def drain() -> int:
    """Let the time pass and run the drain."""
    make_due()
    return retry_due()
