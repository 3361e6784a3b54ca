"""A handler that returns after it has lost its transaction has failed.

It caught a database error, or closed the connection. Django rolls such a transaction back without an error, and the
inbox would say that the event is done.
"""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from messaging.errors import ConnectionClosed, SwallowedDatabaseError
from messaging.models import DeadLetterRow, InboxRow
from messaging.registry import handler_named
from messaging.testing import published
from tests.messaging.parked import SINGLE, is_parked
from tests.messaging.sample.events import NoteAnswered
from tests.messaging.sample.models import Applied
from tests.messaging.test_batch import applied, note, position, singly, together

pytestmark = pytest.mark.django_db(transaction=True)

BATCH = "tests.on_note_added_batch"


def row(event_id: str, handler: str = SINGLE) -> InboxRow:
    return InboxRow.objects.get(event_id=event_id, handler=handler)


def test_an_effect_that_a_swallowed_error_undoes_is_never_done(group):
    singly(group, note("a", 1, "swallow", event_id="e"))

    assert applied("single", "a") == []
    assert [answer.result for answer in published(NoteAnswered)] == ["exhausted"]
    assert (row("e").state, row("e").attempts) == ("exhausted", 3)
    assert row("e").fingerprint.startswith("SwallowedDatabaseError at ")
    assert "open transaction.atomic() around the statement" in row("e").error


def test_the_batch_form_that_swallows_an_error_is_a_dead_letter(group):
    singly(group, note("a", 1, "swallow", event_id="e"))

    [letter] = DeadLetterRow.objects.filter(handler=BATCH)
    assert letter.reason == "handler_failed"
    assert letter.fingerprint.startswith("SwallowedDatabaseError at ")
    assert applied("batch", "a") == []


@pytest.mark.parametrize(("behaviour", "error"), [("swallow", SwallowedDatabaseError), ("close", ConnectionClosed)])
def test_a_batch_with_a_lost_effect_is_rolled_back_whole(group, behaviour, error):
    begin = position(group)

    with pytest.raises(error):
        together(group, note("a", 1), note("b", 1, behaviour))

    assert not Applied.objects.exists()
    assert not InboxRow.objects.exists()
    assert position(group) == begin


def test_a_handler_that_closes_its_connection_counts_attempts_and_parks(group):
    singly(group, note("a", 1, "close", event_id="e"), note("a", 2), note("b", 1))

    assert (row("e").state, row("e").attempts) == ("waiting", 1)
    assert "closed the database connection in attempt 1" in row("e").error
    assert is_parked("a")
    assert applied("single", "a") == []
    assert applied("single", "b") == [1]


def test_a_failure_answer_that_swallows_an_error_is_a_dead_letter(group):
    def swallows(event, context):
        try:
            Applied.objects.create(key=event.key, number=9, handler="answer").save(force_insert=True)
        except IntegrityError:
            return

    handler = handler_named(SINGLE)
    usual = handler.on_exhausted
    object.__setattr__(handler, "on_exhausted", swallows)
    try:
        singly(group, note("a", 1, "bug", event_id="e"))
    finally:
        object.__setattr__(handler, "on_exhausted", usual)

    letter = DeadLetterRow.objects.get(event_id="e", handler=SINGLE)
    assert letter.reason == "failure_answer_failed"
    assert applied("answer", "a") == []
