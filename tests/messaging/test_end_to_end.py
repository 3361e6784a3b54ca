"""A note published in a transaction reaches both handlers once, through the real broker."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import transaction

from messaging import publish
from messaging.models import ConsumerPosition, InboxRow, OutboxRow
from tests.messaging.conftest import eventually, log_of
from tests.messaging.sample.events import NoteAdded, NoteAnswered
from tests.messaging.sample.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_published_in_a_transaction_is_applied_once_by_each_handler(relay, consumer):
    with transaction.atomic():
        for number in range(20):
            publish(NoteAdded(key=f"e2e-{number % 5}", number=number))

    eventually(lambda: Applied.objects.filter(key__startswith="e2e-").count() == 40)
    eventually(lambda: not OutboxRow.objects.exists())
    for key in range(5):
        for handler in ("single", "batch"):
            numbers = Applied.objects.filter(key=f"e2e-{key}", handler=handler).order_by("id").values_list("number", flat=True)
            assert list(numbers) == sorted(numbers)
    answers = [record for record in log_of(settings.SAMPLE_TOPIC) if dict(record.headers)["ce_type"] == b"sample.NoteAnswered.v1"]
    assert len(answers) == 20
    assert InboxRow.objects.count() == 40
    assert ConsumerPosition.objects.count() == 3
