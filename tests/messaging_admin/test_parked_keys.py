"""Parked keys in the admin: the queue in order, what its head waits for, and the actions for the head."""

from __future__ import annotations

import pytest

from messaging.consumer.retry_parked import retry_due
from messaging.models import InboxRow, ParkedKey
from tests.messaging.operating import SINGLE, Switch, broken, drain, note, transient, with_patient_retries
from tests.messaging.sample import handlers
from tests.messaging.test_batch import applied, singly
from tests.messaging_admin.pages import KEYS, choose, confirm, page

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def failing(group, settings, monkeypatch) -> Switch:
    """The key `a`, whose first event waits to be tried again, and two behind it."""
    with_patient_retries(settings)
    switch = transient()
    monkeypatch.setitem(handlers.behaviours, "failing", switch)
    singly(group, note("a", 1, "failing", event_id="e1"), note("a", 2, event_id="e2"), note("a", 3, event_id="e3"))
    return switch


def parked(key: str) -> ParkedKey:
    return ParkedKey.objects.get(key=key)


def test_the_list_shows_length_error_and_next_attempt(failing, group, operator):
    singly(group, broken(note("b", 1)))

    text = page(operator, KEYS)

    assert '<td class="field-length">6</td>' in text
    assert "TransientError('not yet')" in text
    assert "waits for an operator" in text
    at = InboxRow.objects.get(event_id="e1", handler=SINGLE).next_attempt_at
    assert f"{at:%Y-%m-%d %H:%M:%S} UTC" in text


def test_the_page_of_a_key_shows_its_queue_in_order(failing, operator):
    text = page(operator, f"{KEYS}{parked('a').pk}/change/")

    assert text.index("<td>e1</td>") < text.index("<td>e2</td>") < text.index("<td>e3</td>")
    assert "after the events before it" in text


def test_an_empty_list_says_that_every_key_goes_on(group, viewer):
    assert "No key is parked" in page(viewer, KEYS)


def test_the_head_is_tried_again_now_and_the_rest_follows(failing, operator):
    failing.on = False
    assert retry_due() == 0

    assert "Done: " in confirm(operator, KEYS, choose(operator, KEYS, "retry", parked("a").pk))
    drain()

    assert applied("single", "a") == applied("batch", "a") == [1, 2, 3]


def test_the_head_is_skipped_and_the_rest_goes_on(failing, operator):
    confirm(operator, KEYS, choose(operator, KEYS, "skip", parked("a").pk))
    drain()

    assert (applied("single", "a"), applied("batch", "a")) == ([2, 3], [1, 2, 3])


def test_a_head_that_somebody_else_dealt_with_is_said_to_be_unchanged(failing, operator):
    frozen = choose(operator, KEYS, "skip", parked("a").pk)
    failing.on = False
    confirm(operator, KEYS, choose(operator, KEYS, "retry", parked("a").pk))
    drain()

    assert "(it is done already)" in confirm(operator, KEYS, frozen)


def test_a_key_whose_queue_is_empty_is_about_to_go_on(failing, operator):
    InboxRow.objects.update(raw=None, state="done")

    assert "the key is unparked soon" in page(operator, KEYS)
    assert "No event of this key waits" in page(operator, f"{KEYS}{parked('a').pk}/change/")
    assert choose_nothing(operator)


def choose_nothing(operator) -> bool:  # type: ignore[no-untyped-def]
    answer = operator.post(KEYS, {"action": "skip", "_selected_action": [parked("a").pk]})
    return "another operator has already handled them" in answer.content.decode()


def test_who_may_only_look_is_refused(failing, viewer):
    assert 'name="action"' not in page(viewer, KEYS)
    fields = {"targets": f'[["e1", "{SINGLE}"]]', "confirmed": "yes", "reason": "x", "verb": "skip"}

    assert viewer.post(f"{KEYS}act/", fields).status_code == 403
    assert InboxRow.objects.get(event_id="e1", handler=SINGLE).state == "waiting"
