"""A note published in a transaction reaches both handlers once, through the real broker."""

from __future__ import annotations

import pytest
from django.db import transaction

from messaging import publish
from messaging.models import ConsumerPosition, InboxRow, OutboxRow
from tests.messaging.log import answers
from tests.messaging.sample.events import NoteAdded
from tests.messaging.sample.models import Applied
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_published_in_a_transaction_is_applied_once_by_each_handler(relay, consumer, key, log):
    with transaction.atomic():
        for number in range(20):
            publish(NoteAdded(key=f"{key}-{number % 5}", number=number))

    eventually(lambda: Applied.objects.count() == 40)
    eventually(lambda: not OutboxRow.objects.exists())
    for part in range(5):
        for handler in ("single", "batch"):
            rows = Applied.objects.filter(key=f"{key}-{part}", handler=handler).order_by("id")
            assert list(rows.values_list("number", flat=True)) == [part, part + 5, part + 10, part + 15]
    records = log.records()
    assert [answers(records, f"{key}-{part}") for part in range(5)] == [["applied"] * 4] * 5
    assert InboxRow.objects.count() == 40
    assert ConsumerPosition.objects.filter(next_offset__gt=0).count() >= 3
