"""The library's tables in a service's admin: to be read and searched, never to be changed, and never taken for markup.

Here, since the library's own tests run without the admin.
"""

from __future__ import annotations

import json

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from messaging.kafka.records import RawRecord, packed
from messaging.models import ConsumerPosition, DeadLetterRow, InboxRow, OutboxRow, ReplayRun

pytestmark = pytest.mark.django_db

SCRIPT = "<script>alert(1)</script>"
PLACE = {"topic": "sample.events", "partition": 0, "offset": 7}
LEDGERS = (OutboxRow, InboxRow, ConsumerPosition, DeadLetterRow, ReplayRun)
each_ledger = pytest.mark.parametrize("ledger", LEDGERS, ids=lambda ledger: ledger.__name__)


@pytest.fixture
def rows() -> dict:
    """One row of each table, with markup wherever a producer, a handler or an operator decides what stands there."""
    data = json.dumps({"note": SCRIPT}).encode() + b"\xff\x00"
    inbox = InboxRow.objects.create(event_id="e1", handler="sample.on", key=SCRIPT, error=SCRIPT, **PLACE)
    letter = DeadLetterRow.objects.create(
        event_id="e1", handler="sample.on", key=SCRIPT, type="t", reason="r", error=SCRIPT, traceback=SCRIPT,
        raw=packed(RawRecord("sample.events", 0, 7, 0, SCRIPT.encode(), [(SCRIPT, SCRIPT.encode())], data)), **PLACE,
    )  # fmt: skip
    outbox = OutboxRow.objects.create(
        event_id="e1", topic="t", key=SCRIPT, shard=0, type="t", occurred_at=timezone.now(), correlation_id="c",
        data=data,
    )  # fmt: skip
    position = ConsumerPosition.objects.create(
        consumer_group="g", topic="t", partition=0, next_offset=1, stopped_reason=SCRIPT, stopped_at=timezone.now()
    )
    run = ReplayRun.objects.create(topic="t", ranges={}, actor="me", reason=SCRIPT, result={"applied": {SCRIPT: 1}})
    return {type(row): row for row in (inbox, letter, outbox, position, run)}


def page(ledger, name: str, *arguments: int) -> str:
    return reverse(f"admin:messaging_{ledger._meta.model_name}_{name}", args=arguments)


@each_ledger
def test_a_ledger_is_listed_and_searched_and_shown_with_everything_escaped(admin_client, rows, ledger):
    search = {"q": "e1"} if admin.site._registry[ledger].search_fields else {}
    pages = [
        admin_client.get(page(ledger, "changelist")),
        admin_client.get(page(ledger, "changelist"), search),
        admin_client.get(page(ledger, "change", rows[ledger].pk)),
    ]

    assert [answer.status_code for answer in pages] == [200, 200, 200]
    assert not [answer for answer in pages if SCRIPT in answer.text]
    assert "&lt;script&gt;" in pages[2].text


@each_ledger
def test_a_ledger_can_not_be_changed_by_hand(admin_client, rows, ledger):
    before = ledger.objects.values().get()
    fields = {name: "1" for name in before}

    answers = [
        admin_client.post(page(ledger, "change", rows[ledger].pk), fields),
        admin_client.post(page(ledger, "add"), fields),
        admin_client.post(page(ledger, "delete", rows[ledger].pk), {"post": "yes"}),
    ]
    admin_client.post(
        page(ledger, "changelist"), {"action": "delete_selected", "_selected_action": rows[ledger].pk, "post": "yes"}
    )

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert ledger.objects.values().get() == before


@pytest.mark.parametrize("ledger", [OutboxRow, DeadLetterRow], ids=lambda ledger: ledger.__name__)
def test_the_bytes_of_an_event_are_shown_as_text_whatever_they_are(admin_client, rows, ledger):
    shown = admin_client.get(page(ledger, "change", rows[ledger].pk)).text

    assert "{&quot;note&quot;: &quot;&lt;script&gt;" in shown
    assert "\\xff" in shown


def test_the_admin_is_for_the_signed_in(client, rows):
    answer = client.get(page(InboxRow, "changelist"))

    assert answer.status_code == 302
    assert "login" in answer["Location"]
