"""Giving raw records to a service's handlers as its consumer would, and what must not come of any of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction

from messaging.consumer.batch import apply
from messaging.consumer.one_by_one import apply_one_by_one
from messaging.inbox.decoding import read
from messaging.kafka.records import RawRecord
from messaging.models import DeadLetterRow, InboxRow
from messaging.outbox.publish import gather

#: A refusal of these kinds is a clean one: the record, not a handler, is at fault.
CLEAN = {"undecodable", "schema_violation", "unknown_version", "tombstone", "unknown_order", "unknown_claim"}


def topics() -> list[str]:
    """Return the topics that the service consumes."""
    return sorted({topic for group in settings.MESSAGING["GROUPS"].values() for topic in group})


def handle(record: RawRecord) -> None:
    """Handle one record, in a batch of its own and then as one that comes again, singly."""
    [group] = [name for name, names in settings.MESSAGING["GROUPS"].items() if record.topic in names]
    item = read(record, group, datetime.now(UTC))
    if item is None:
        return
    with transaction.atomic(), gather():
        apply(group, [item])
    with transaction.atomic(), gather():
        apply_one_by_one(group, item)


def faults() -> Sequence[str]:
    """Return what handlers failed at: an honest refusal is none."""
    letters = DeadLetterRow.objects.exclude(reason__in=CLEAN).values_list("reason", "error")
    failed = InboxRow.objects.filter(state__in=("exhausted",)).values_list("handler", "error")
    return [f"{what}: {error}" for what, error in [*letters, *failed]]
