"""Dead letters in the admin: seen whole and in groups; retried, edited and skipped with a reason, once."""

from __future__ import annotations

import json
import re
from html import unescape
from urllib.parse import quote

import pytest
from django.test import Client
from msgspec import structs

from messaging import retry, skip
from messaging.admin import results
from messaging.kafka.records import packed, unpacked
from messaging.models import DeadLetterRow, InboxRow, OperatorAction, OutboxRow
from tests.messaging.operating import BATCH, WHO, broken, drain, goes_on, note, undecodable
from tests.messaging.test_batch import applied, singly
from tests.messaging_admin.pages import ACTIONS, LETTERS, choose, confirm, hidden, page

pytestmark = pytest.mark.django_db(transaction=True)
EVIL = b'{"key": "<script>alert(1)</script>"}'


@pytest.fixture
def letters(group: str) -> list[DeadLetterRow]:
    """Open letters of the keys a, b and c; another event waits behind the first."""
    singly(group, *(broken(note(key, 1, event_id=f"e-{key}")) for key in "abc"), note("a", 2))
    return list(DeadLetterRow.objects.order_by("key"))


def detail(letter: DeadLetterRow) -> str:
    return f"{LETTERS}{letter.pk}/change/"


def open_keys() -> list[str]:
    return list(DeadLetterRow.objects.filter(resolved_at=None).order_by("key").values_list("key", flat=True))


def test_the_list_shows_groups_with_counts_and_only_what_is_open(letters, operator):
    skip([letters[1].target], **WHO)

    text = page(operator, LETTERS)

    assert re.search(r"<td>2</td>\s*<td><a href=\"\?fingerprint=InvalidRecord%3A%20schema_violation", text)
    assert "InvalidRecord: schema_violation (2)" in text
    assert letters[0].event_id in text
    assert letters[1].event_id not in text
    assert letters[1].event_id in page(operator, LETTERS, open="all")
    assert letters[0].event_id not in page(operator, LETTERS, open="no")


def test_the_list_is_filtered_by_what_went_wrong(letters, group, operator, bug):
    singly(group, note("d", 1, "batch bug", event_id="buggy"))

    assert "buggy" not in page(operator, LETTERS, fingerprint="InvalidRecord: schema_violation")
    assert "buggy" in page(operator, LETTERS, handler=BATCH)
    assert letters[0].event_id in page(operator, LETTERS, q="a")


def test_an_empty_list_says_that_nothing_is_to_be_done(group, viewer):
    assert "You need to do nothing" in page(viewer, LETTERS)


def test_the_page_of_a_letter_shows_record_error_traceback_and_queue(group, operator, bug):
    singly(group, note("a", 1, "batch bug", event_id="e"), note("a", 2, event_id="behind"))

    text = page(operator, detail(DeadLetterRow.objects.get()))

    for part in ('"number": 1', "sample.NoteAdded.v1", "b'a'", "ZeroDivisionError('a bug')", "Traceback", "behind"):
        assert part in text
    assert text.index("<strong>e</strong>") < text.index("<td>behind</td>")


@pytest.mark.parametrize("value", [EVIL, b"\xff<script>alert(1)</script>", None])
def test_what_a_stranger_wrote_is_shown_escaped(group, operator, value):
    record = broken(note("a<script>alert(1)</script>", 1), value)
    record.headers.append(("<script>alert(1)</script>", b"<script>alert(1)</script>\xff"))
    singly(group, record)
    letter = DeadLetterRow.objects.get()
    addresses = (LETTERS, detail(letter), f"{LETTERS}{letter.pk}/edit/", "/admin/messaging/parkedkey/")

    for address in addresses:
        assert b"<script>alert(1)" not in operator.get(address).content
    answer = operator.post(LETTERS, {"action": "skip", "_selected_action": [letter.pk]})
    assert b"<script>alert(1)" not in answer.content


def test_a_selection_is_confirmed_with_a_reason_and_each_result_is_told(letters, operator):
    frozen = choose(operator, LETTERS, "skip", letters[0].pk, letters[1].pk)
    assert json.loads(frozen["targets"]) == [list(letters[0].target), list(letters[1].target)]

    text = confirm(operator, LETTERS, frozen)
    drain()

    assert f"Done: {letters[0].event_id} - (it will not be handled" in text
    assert open_keys() == ["c"]
    assert applied("single", "a") == [2]
    action = OperatorAction.objects.get()
    assert (action.verb, action.reason, len(action.targets)) == ("skip", "a test", 2)
    assert action.actor.startswith("retry_deadletter")


def test_only_the_frozen_letters_are_acted_on_whatever_came_meanwhile(letters, group, operator):
    frozen = choose(operator, LETTERS, "skip", *(letter.pk for letter in letters))
    singly(group, broken(note("late", 1)))

    confirm(operator, LETTERS, frozen)

    assert open_keys() == ["late"]


@pytest.mark.parametrize("reason", ["", "  "])
def test_nothing_happens_without_a_reason(letters, operator, reason):
    frozen = choose(operator, LETTERS, "skip", letters[0].pk)

    assert "Say why" in confirm(operator, LETTERS, frozen, reason)
    assert open_keys() == ["a", "b", "c"]


def test_a_reason_with_nul_is_a_400(letters, operator):
    fields = {"verb": "skip", "targets": json.dumps([letters[0].target]), "confirmed": "yes", "reason": "\x00"}

    assert operator.post(f"{LETTERS}act/", fields).status_code == 400
    assert open_keys() == ["a", "b", "c"]


def test_a_double_click_changes_nothing_more(letters, operator):
    frozen = choose(operator, LETTERS, "skip", letters[0].pk)

    assert "Done: " in confirm(operator, LETTERS, frozen)
    text = confirm(operator, LETTERS, frozen)
    assert "Unchanged: " in text and "(it is skipped already)" in text
    assert DeadLetterRow.objects.get(pk=letters[0].pk).resolution == "skipped"


def test_a_whole_group_is_retried_once_its_bug_is_fixed(letters, group, operator, bug):
    singly(group, *(note(key, number, "batch bug") for number in (1, 2) for key in "xyz"))
    bug.on = False
    letter = DeadLetterRow.objects.get(key="x")
    fields = {"fingerprint": letter.fingerprint, "reason_code": letter.reason, "handler": letter.handler}

    answer = operator.post(f"{LETTERS}group/", {**fields, "verb": "retry"})
    text = confirm(operator, LETTERS, hidden(answer.content.decode()))
    drain()

    assert "3 are selected" in answer.content.decode()
    assert text.count("it will be retried") == 3
    assert [applied("batch", key) for key in "xyz"] == [[1, 2]] * 3
    assert open_keys() == ["a", "b", "c"]


def test_the_page_of_a_letter_has_its_buttons_and_leads_back_to_it(letters, operator):
    text = page(operator, detail(letters[0]))
    assert all(label in text for label in ("Retry", "Skip", "Edit and retry"))
    fields = {"verb": "skip", "targets": json.dumps([letters[0].target]), "back": detail(letters[0])}

    confirmation = operator.post(f"{LETTERS}act/", fields).content.decode()
    text = confirm(operator, LETTERS, hidden(confirmation))

    assert "skipped, " in text
    assert "Edit and retry" not in text


def test_a_refusal_says_why(letters, operator):
    text = confirm(operator, LETTERS, choose(operator, LETTERS, "retry", letters[0].pk))

    assert "Refused: " in text and "(it cannot be decoded" in text


def test_of_many_results_the_failures_are_told_and_the_ledger_has_all(letters, operator, monkeypatch):
    monkeypatch.setattr(results, "SHOWN_RESULTS", 2)

    text = confirm(operator, LETTERS, choose(operator, LETTERS, "retry", *(letter.pk for letter in letters)))

    assert text.count("(it cannot be decoded") == 2
    assert "0 of 3 were done" in text
    ledger = page(operator, f"{ACTIONS}{OperatorAction.objects.get().pk}/change/")
    assert ledger.count("<td>refused</td>") == 3


def test_an_edited_value_takes_effect_and_the_original_is_kept_and_shown(letters, operator):
    address = f"{LETTERS}{letters[0].pk}/edit/"
    assert "not JSON" in page(operator, address)
    form = {"value": '{"key": "a",\r\n "number": 7}', "headers": "traceparent: 00-x", "reason": "a test"}
    form |= seen(operator, address)

    answer = operator.post(address, form, follow=True)
    drain()

    assert "Done: " in answer.content.decode()
    assert applied("single", "a") == applied("batch", "a") == [7, 2]
    assert goes_on("a")
    letter = DeadLetterRow.objects.get(pk=letters[0].pk)
    assert dict(unpacked(letter.edited).headers)["traceparent"] == b"00-x"
    text = page(operator, detail(letter))
    assert "not JSON" in text and '"number": 7' in text


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"value": '{"key": "a"}'}, "missing required field `number`"),
        ({"value": '{"key": "b", "number": 1}'}, "has the key b in its data"),
        ({"value": ""}, "cannot be decoded"),
        ({"headers": "ce_id: another"}, "cannot be changed"),
        ({"headers": "no colon"}, "a colon and a value"),
        ({"reason": " "}, "This field is required"),
    ],
)
def test_a_bad_edit_is_refused_beside_its_field_and_what_was_typed_stays(letters, operator, changes, why):
    form = {"value": '{"key": "a", "number": 7}', "headers": "note: kept", "reason": "a test"} | changes
    address = f"{LETTERS}{letters[0].pk}/edit/"

    answer = operator.post(address, form | seen(operator, address))

    text = unescape(answer.content.decode())
    assert why in text and "errorlist" in text
    assert form["headers"] in text
    assert open_keys() == ["a", "b", "c"]


def seen(operator, address):
    """The hidden field, which says which record the form was opened with."""
    return {"seen": operator.get(address).context["form"].initial["seen"]}


def test_an_edit_of_a_record_that_another_operator_has_edited_is_refused(letters, operator):
    address = f"{LETTERS}{letters[0].pk}/edit/"
    form = {"value": '{"key": "a", "number": 7}', "headers": "", "reason": "a test"} | seen(operator, address)
    edited = structs.replace(unpacked(letters[0].raw), value=b'{"key": "a", "number": 8}')
    DeadLetterRow.objects.filter(pk=letters[0].pk).update(edited=packed(edited))

    answer = operator.post(address, form)

    assert "edited after you opened the form" in answer.content.decode()
    assert unpacked(DeadLetterRow.objects.get(pk=letters[0].pk).edited) == edited
    assert open_keys() == ["a", "b", "c"]


def test_who_may_only_look_sees_no_button_and_is_refused(letters, viewer):
    fields = {"targets": json.dumps([letters[0].target]), "confirmed": "yes", "reason": "x"}
    for address in (LETTERS, detail(letters[0])):
        text = page(viewer, address)
        assert 'name="verb"' not in text and "Edit and retry" not in text and 'name="action"' not in text

    posts = [
        *(viewer.post(f"{LETTERS}act/", {**fields, "verb": verb}) for verb in ("retry", "skip", "edit", "")),
        viewer.post(f"{LETTERS}group/", {"verb": "skip"}),
        viewer.post(LETTERS, {"action": "skip", "_selected_action": [letters[0].pk]}),
        viewer.post(f"{LETTERS}{letters[0].pk}/edit/", {"value": "{}", "reason": "x"}),
        viewer.get(f"{LETTERS}{letters[0].pk}/edit/"),
        viewer.post(detail(letters[0]), {}),
    ]

    assert {answer.status_code for answer in posts} == {403}
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize(("codename", "verb"), [("retry_deadletter", "retry"), ("skip_deadletter", "skip")])
def test_each_verb_needs_its_own_permission(letters, sign_in, codename, verb):
    client = sign_in(codename)
    fields = {"targets": json.dumps([letters[0].target]), "confirmed": "yes", "reason": "x"}

    statuses = {each: client.post(f"{LETTERS}act/", {**fields, "verb": each}).status_code for each in ("retry", "skip")}

    assert statuses == {"retry": 403, "skip": 403} | {verb: 302}


def test_a_verb_without_the_right_to_look_is_refused(letters, sign_in):
    client = sign_in("skip_deadletter", views=False)
    fields = {"targets": json.dumps([letters[0].target]), "confirmed": "yes", "reason": "x", "verb": "skip"}

    assert client.post(f"{LETTERS}act/", fields).status_code == 403


def test_strangers_get_and_forged_posts_change_nothing(letters, operator):
    fields = {"targets": json.dumps([letters[0].target]), "confirmed": "yes", "reason": "x", "verb": "skip"}
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies

    assert Client().post(f"{LETTERS}act/", fields).status_code == 302
    assert strict.post(f"{LETTERS}act/", fields).status_code == 403
    assert strict.post(f"{LETTERS}{letters[0].pk}/edit/", {"value": "{}", "reason": "x"}).status_code == 403
    assert operator.get(f"{LETTERS}act/", fields).status_code == 405
    assert operator.post(f"{LETTERS}act/", {**fields, "targets": "[1]"}).status_code == 403
    assert open_keys() == ["a", "b", "c"]


def test_a_session_that_ends_leads_back_to_the_list_with_nothing_done(letters, operator):
    frozen = choose(operator, LETTERS, "skip", letters[0].pk)
    operator.logout()

    for view in ("act", "group"):
        answer = operator.post(f"{LETTERS}{view}/", {**frozen, "reason": "x", "back": f"{LETTERS}?open=all"})
        assert answer["Location"] == f"/admin/login/?next={quote(f'{LETTERS}?open=all')}"
        elsewhere = operator.post(f"{LETTERS}{view}/", {**frozen, "back": "https://elsewhere.example/"})
        assert elsewhere["Location"] == f"/admin/login/?next={LETTERS}"
    assert open_keys() == ["a", "b", "c"]


def test_the_way_back_leads_to_no_other_site(letters, operator):
    frozen = choose(operator, LETTERS, "skip", letters[0].pk)

    answer = operator.post(f"{LETTERS}act/", {**frozen, "reason": "x", "back": "https://elsewhere.example/"})

    assert answer["Location"] == LETTERS


def test_filters_survive_an_action(letters, operator):
    address = f"{LETTERS}?handler=-&open=all"
    answer = operator.post(address, {"action": "skip", "_selected_action": [letters[0].pk]})

    done = operator.post(f"{LETTERS}act/", {**hidden(answer.content.decode()), "reason": "x"})

    assert done["Location"] == address


@pytest.mark.parametrize("model", ["outboxrow", "inboxrow", "consumerposition", "operatoraction", "replayrun"])
def test_the_ledgers_open_and_nothing_in_them_can_be_changed(letters, operator, model):
    retry([letters[0].target], **WHO)
    address = f"/admin/messaging/{model}/"
    assert page(operator, address)
    assert operator.get(f"{address}add/").status_code == 403
    tables = {"outboxrow": OutboxRow, "inboxrow": InboxRow, "operatoraction": OperatorAction}
    if model in tables:
        row = tables[model].objects.first()
        assert page(operator, f"{address}{row.pk}/change/")
        assert operator.post(f"{address}{row.pk}/change/", {}).status_code == 403
        assert operator.post(f"{address}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_record_without_a_readable_key_has_a_page_too(group, operator):
    record = note("a", 1)
    singly(group, record.__class__(key=b"\xff", headers=record.headers, value=record.value, topic=record.topic))

    text = page(operator, detail(DeadLetterRow.objects.get()))

    assert "b'\\xff'" in text
    assert "nothing waits behind it" in text
    assert undecodable("")
