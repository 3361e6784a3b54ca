"""messaging.testing: what services' tests use instead of Kafka goes the consumer's way."""

from __future__ import annotations

import pytest

from messaging.models import InboxRow
from messaging.testing import deliver, forget_published, published, record_of
from tests.messaging.sample.events import NoteAdded, NoteAnswered
from tests.messaging.sample.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("singly", [False, True])
def test_a_delivered_event_is_handled_and_its_answer_can_be_seen(singly):
    deliver(NoteAdded(key="a", number=1), singly=singly)

    assert published(NoteAnswered) == [NoteAnswered(key="a", number=1, result="applied")]
    assert Applied.objects.count() == 2


@pytest.mark.parametrize("singly", [False, True])
def test_a_record_delivered_twice_is_handled_once(singly):
    record = record_of(NoteAdded(key="a", number=1))

    deliver(record, record, singly=singly)
    deliver(record, singly=singly)

    assert Applied.objects.count() == 2


def test_a_failing_event_is_answered_for_when_it_is_delivered_singly():
    deliver(NoteAdded(key="a", number=1, behaviour="bug"), singly=True)

    assert [each.result for each in published(NoteAnswered)] == ["exhausted"]
    assert InboxRow.objects.filter(state="exhausted").count() == 1


def test_what_was_published_can_be_forgotten():
    deliver(NoteAdded(key="a", number=1))

    forget_published()

    assert published() == []
