"""Operators beside each other, parked retries and the consumer: each is seen, nothing happens twice or out of order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction

from messaging import retry, skip
from messaging.consumer.retry_parked import retry_due
from messaging.models import DeadLetterRow, InboxRow, OperatorAction
from messaging.parking.keys import lock_exclusively
from tests.messaging.operating import (
    BATCH,
    SINGLE,
    WHO,
    broken,
    drain,
    goes_on,
    in_the_background,
    note,
    outcomes,
    undecodable,
    wait_for_blocked,
)
from tests.messaging.sample import handlers
from tests.messaging.test_batch import applied, singly

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 30


class Gate:
    """A behaviour that stands still in the middle of its handler until it is let through."""

    def __init__(self) -> None:
        self.reached, self.let = threading.Event(), threading.Event()

    def __call__(self, *_: Any) -> None:
        self.reached.set()
        assert self.let.wait(SECONDS), "nobody let it through"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """What the behaviour `gate` does in the single handler, and `batch gate` in the batch one."""
    standing = Gate()
    monkeypatch.setitem(handlers.behaviours, "gate", standing)
    monkeypatch.setitem(handlers.batch_behaviours, "batch gate", standing)
    yield standing
    standing.let.set()


@pytest.fixture
def dead(group, monkeypatch) -> None:
    """A dead letter, `e` of the single handler, that parked nothing; a retry finds nothing wrong any more."""
    monkeypatch.setitem(handlers.behaviours, "dead once", handlers.behaviours["dead"])
    singly(group, note("a", 1, "dead once", event_id="e"))
    monkeypatch.setitem(handlers.behaviours, "dead once", lambda *_: None)


@pytest.fixture
def retried_into_the_gate(group, gate, monkeypatch) -> None:
    """`e`, dead at the batch handler, was retried: the drain will stand in the middle of it."""
    monkeypatch.setitem(handlers.batch_behaviours, "batch gate", lambda: 1 / 0)
    singly(group, note("a", 1, "batch gate", event_id="e"), note("a", 2))
    monkeypatch.setitem(handlers.batch_behaviours, "batch gate", gate)
    retry([("e", BATCH)], **WHO)


@pytest.mark.parametrize("act", [retry, skip])
def test_an_operator_who_meets_a_running_drain_waits_and_sees_what_it_did(act, retried_into_the_gate, gate):
    with in_the_background() as begin:
        draining = begin(retry_due)
        assert gate.reached.wait(SECONDS)
        operating = begin(act, [("e", BATCH)], **WHO)
        wait_for_blocked()
        gate.let.set()
        results = operating.result(SECONDS)
        draining.result(SECONDS)
    drain()

    assert [(each.outcome, each.detail) for each in results] == [("unchanged", "it is done already")]
    assert applied("batch", "a") == applied("single", "a") == [1, 2]
    assert goes_on("a")


def test_a_drain_leaves_a_key_alone_that_an_operator_is_about_to_change(group):
    singly(group, broken(note("a", 1)), note("a", 2))

    with in_the_background() as begin, transaction.atomic():
        skip([undecodable("a")], **WHO)
        assert begin(retry_due).result(SECONDS) == 0
    drain()

    assert applied("single", "a") == [2]


def test_two_operators_who_retry_a_letter_without_a_parked_key_do_it_once(dead):
    with in_the_background() as begin:
        with transaction.atomic():
            assert outcomes(retry([("e", SINGLE)], **WHO)) == ["done"]
            other = begin(retry, [("e", SINGLE)], **WHO)
            wait_for_blocked()
        assert outcomes(other.result(SECONDS)) == ["unchanged"]
    drain()

    assert applied("single", "a") == [1]
    assert goes_on("a")


def test_two_operators_who_retry_and_skip_a_parked_letter_see_each_other(group):
    singly(group, broken(note("a", 1)), note("a", 2))
    target = undecodable("a")

    with in_the_background() as begin:
        with transaction.atomic():
            assert outcomes(skip([target], **WHO)) == ["done"]
            other = begin(skip, [target], **WHO)
            wait_for_blocked()
        [result] = other.result(SECONDS)

    assert (result.outcome, result.detail) == ("unchanged", "it is skipped already")
    assert DeadLetterRow.objects.get().resolution == "skipped"


def test_operators_with_the_same_letters_in_different_orders_do_not_stop_each_other(group):
    keys = "abcdefgh"
    singly(group, *(note(key, 1, "dead") for key in keys[:4]), *(broken(note(key, 1)) for key in keys[4:]))
    targets = [letter.target for letter in DeadLetterRow.objects.all()]

    with in_the_background() as begin:
        both = [begin(skip if n % 2 else retry, targets[:: 1 if n % 4 else -1], **WHO) for n in range(8)]
        found = {result.outcome for each in both for result in each.result(SECONDS)}

    assert found <= {"done", "unchanged", "refused"}
    assert set(InboxRow.objects.filter(state__in=["dead", "waiting"]).values_list("key", flat=True)) == set()


def test_a_retry_that_meets_the_consumer_at_a_later_event_is_refused_when_that_took_effect(dead, group, gate):
    with in_the_background() as begin:
        consuming = begin(singly, group, note("a", 2, "gate"))
        assert gate.reached.wait(SECONDS)
        operating = begin(retry, [("e", SINGLE)], **WHO)
        wait_for_blocked()
        gate.let.set()
        consuming.result(SECONDS)
        [result] = operating.result(SECONDS)
    drain()

    assert (result.outcome, "later events" in result.detail) == ("refused", True)
    assert applied("single", "a") == [2]


def test_a_later_event_that_meets_a_retry_waits_behind_it(dead, group):
    with in_the_background() as begin:
        with transaction.atomic():
            assert outcomes(retry([("e", SINGLE)], **WHO)) == ["done"]
            consuming = begin(singly, group, note("a", 2))
            wait_for_blocked()
        consuming.result(SECONDS)
    drain()

    assert applied("single", "a") == [1, 2]
    assert goes_on("a")


def test_the_consumer_goes_on_with_other_keys_while_an_operator_is_at_work(group):
    singly(group, broken(note("a", 1)))

    with in_the_background() as begin, transaction.atomic():
        skip([undecodable("a")], **WHO)
        begin(singly, group, note("a", 2), note("b", 1)).result(SECONDS)
    drain()

    assert (applied("single", "a"), applied("single", "b")) == ([2], [1])


def test_a_lock_that_is_not_to_be_had_fails_that_action_and_is_noted(group):
    singly(group, broken(note("a", 1)))
    target = undecodable("a")

    def impatient() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        return skip([target], **WHO)

    with in_the_background() as begin, transaction.atomic():
        assert lock_exclusively(django_settings.SAMPLE_TOPIC, "a")
        [result] = begin(impatient).result(SECONDS)

    assert result.outcome == "failed"
    assert OperatorAction.objects.get().results[0]["outcome"] == "failed"
    assert outcomes(skip([target], **WHO)) == ["done"]
