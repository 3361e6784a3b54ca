"""Pauses in the admin: seen, added and resumed with a reason; the circuit breaker's is an alarm."""

from __future__ import annotations

import re

import pytest
from django.conf import settings as django_settings

from messaging.models import OperatorAction, Pause
from messaging.parking import pauses
from tests.messaging.operating import BATCH, SINGLE
from tests.messaging_admin.pages import LETTERS, PAUSES, confirm, hidden, page

pytestmark = pytest.mark.django_db(transaction=True)


def choose_resume(client, name: str) -> dict[str, str]:  # type: ignore[no-untyped-def]
    answer = client.post(PAUSES, {"action": "resume", "_selected_action": [name]})
    return hidden(answer.content.decode())


def test_the_form_offers_the_handlers_and_topics_of_this_service(group, operator):
    text = page(operator, f"{PAUSES}add/")

    assert all(f'value="{name}"' in text for name in (SINGLE, BATCH, django_settings.SAMPLE_TOPIC))


def test_a_handler_is_paused_with_a_reason_and_noted(group, operator):
    answer = operator.post(f"{PAUSES}add/", {"name": SINGLE, "reason": "a bad deploy"}, follow=True)

    assert "Done: " in answer.content.decode()
    pause = Pause.objects.get()
    assert (pause.name, pause.reason, pause.actor) == (SINGLE, "a bad deploy", OperatorAction.objects.get().actor)
    assert "a bad deploy" in page(operator, PAUSES)
    assert "a bad deploy" in page(operator, f"{PAUSES}{pause.pk}/change/")


@pytest.mark.parametrize("form", [{"name": "nobody", "reason": "x"}, {"name": SINGLE, "reason": " "}, {}])
def test_a_pause_of_nothing_or_without_a_reason_is_refused(group, operator, form):
    assert "errorlist" in operator.post(f"{PAUSES}add/", form).content.decode()
    assert not Pause.objects.exists()


def test_a_pause_is_resumed_with_a_reason_once(group, operator):
    pauses.insert(SINGLE, reason="x", actor="kim")
    frozen = choose_resume(operator, SINGLE)

    assert "Say why" in confirm(operator, PAUSES, frozen, reason="")
    assert "Done: " in confirm(operator, PAUSES, frozen)
    assert "Unchanged: " in confirm(operator, PAUSES, frozen)
    assert not Pause.objects.exists()
    assert [action.verb for action in OperatorAction.objects.order_by("id")] == ["resume", "resume"]


def test_what_the_code_no_longer_has_can_still_be_resumed(group, operator):
    pauses.insert("sample.gone", reason="x", actor="kim")

    confirm(operator, PAUSES, choose_resume(operator, "sample.gone"))

    assert not Pause.objects.exists()


def test_the_pause_of_the_circuit_breaker_is_an_alarm_on_the_lists(group, operator):
    pauses.insert(SINGLE, reason="20 events failed alike", actor="fuse")

    for address in (PAUSES, LETTERS):
        assert f"The circuit breaker has paused {SINGLE}" in page(operator, address)
    for address in (PAUSES, LETTERS, f"{PAUSES}{SINGLE}/change/", f"{PAUSES}add/"):
        assert not re.search(r"\bfuse\b", page(operator, address), re.I)


def test_an_empty_list_says_how_to_pause(group, viewer):
    assert "Nothing is paused" in page(viewer, PAUSES)


def test_who_may_only_look_can_neither_pause_nor_resume(group, viewer):
    pauses.insert(SINGLE, reason="x", actor="kim")
    fields = {"verb": "resume", "targets": f'[["", "{SINGLE}"]]', "confirmed": "yes", "reason": "x"}

    assert viewer.get(f"{PAUSES}add/").status_code == 403
    assert viewer.post(f"{PAUSES}add/", {"name": BATCH, "reason": "x"}).status_code == 403
    assert viewer.post(f"{PAUSES}act/", fields).status_code == 403
    assert viewer.post(f"{PAUSES}{SINGLE}/change/", {"name": BATCH}).status_code == 403
    assert list(Pause.objects.values_list("name", flat=True)) == [SINGLE]
