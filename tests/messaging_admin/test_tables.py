"""The lists of the library's tables stay quick however many rows there are."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import InboxRow
from tests.messaging.operating import SINGLE
from tests.messaging_admin.pages import LETTERS, page

pytestmark = pytest.mark.django_db(transaction=True)

INBOX, OUTBOX = "/admin/messaging/inboxrow/", "/admin/messaging/outboxrow/"


@pytest.mark.parametrize(("address", "table"), [(INBOX, "messaging_inbox"), (OUTBOX, "messaging_outbox")])
def test_filters_ask_no_table_for_its_distinct_values(group, operator, address, table):
    with CaptureQueriesContext(
        connection,
    ) as asked:
        page(operator, address)

    assert any(f'FROM "{table}"' in each["sql"] for each in asked)
    assert not [each["sql"] for each in asked if "DISTINCT" in each["sql"]]


@pytest.mark.parametrize(("name", "value"), [("handler", SINGLE), ("topic", django_settings.SAMPLE_TOPIC)])
def test_filters_offer_the_names_that_the_code_knows_and_choose_by_them(group, operator, name, value):
    common = {"partition": 0, "offset": 1, "key": "k"}
    wanted = {"handler": SINGLE, "topic": django_settings.SAMPLE_TOPIC}
    InboxRow.objects.create(event_id="chosen", **common, **wanted)
    InboxRow.objects.create(event_id="another", **common, **(wanted | {name: "gone"}))

    assert f"?{name}=" in page(operator, INBOX)
    assert f"?{name}=" in page(operator, LETTERS)
    text = page(operator, INBOX, **{name: value})
    assert ("chosen" in text, "another" in text) == (True, False)
