"""publish(): the event is a row of the transaction that it was published in, or it is not there at all (P1)."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction

from messaging import (
    Context,
    Event,
    EventTooLarge,
    TransactionRequired,
    event,
    event_recorded,
    outbox_pending,
    publish,
    publish_all,
)
from messaging.models import OutboxRow
from messaging.outbox.publish import gather, shard_of
from messaging.testing import published, record_of
from tests.messaging.sample.events import NoteAdded

pytestmark = pytest.mark.django_db(transaction=True)


@event("sample.Strange.v1", topic="sample.strange", key="key")
class Strange(Event):
    """An event whose fields can hold what can't be written."""

    key: Any
    value: Any = None


def note(number: int, key: str = "n") -> NoteAdded:
    return NoteAdded(key=key, number=number)


def numbers() -> list[int]:
    return [each.number for each in published(NoteAdded)]


class Refused(Exception):
    """What a service raises to take everything back."""


def test_publishing_outside_a_transaction_is_refused():
    with pytest.raises(TransactionRequired, match="transaction.atomic"):
        publish(note(1))

    assert numbers() == []


def test_a_rolled_back_transaction_leaves_no_event():
    with pytest.raises(Refused), transaction.atomic():
        publish(note(1))
        raise Refused

    assert numbers() == []


def test_a_rolled_back_savepoint_leaves_no_event_but_the_others_stay():
    with transaction.atomic():
        publish(note(1))
        with pytest.raises(Refused), transaction.atomic():
            publish(note(2))
            raise Refused
        publish(note(3))

    assert numbers() == [1, 3]


def test_a_committed_event_stands_in_the_outbox_with_its_id_key_and_shard():
    with transaction.atomic():
        event_id = publish(note(1, "some key"))

    row = OutboxRow.objects.get()
    assert (row.event_id, row.key, row.type) == (event_id, "some key", "sample.NoteAdded.v1")
    assert row.shard == shard_of("some key")
    assert row.correlation_id == "some key"
    assert row.causation_id is None


def test_several_events_keep_the_order_of_their_list():
    with transaction.atomic():
        publish_all((note(number), None) for number in range(300))

    assert numbers() == list(range(300))


def test_an_effect_names_its_cause_and_belongs_to_the_same_correlation():
    cause = cause_with(traceparent="00-trace")

    with transaction.atomic():
        publish(note(1), cause=cause)

    row = OutboxRow.objects.get()
    assert (row.causation_id, row.correlation_id) == (cause.event_id, "saga-7")
    assert '"traceparent":"00-trace"' in row.extra
    assert '"ce_causeattempts":"1"' in row.extra


def test_a_cause_that_was_not_received_here_needs_its_id_and_correlation_alone():
    cause = SimpleNamespace(event_id="the-first-request", correlation_id="saga-7")

    with transaction.atomic():
        publish(note(1), cause=cause)

    row = OutboxRow.objects.get()
    assert (row.causation_id, row.correlation_id, row.extra) == ("the-first-request", "saga-7", "")


def test_a_traceparent_of_absurd_length_is_not_passed_on():
    with transaction.atomic():
        publish(note(1), cause=cause_with(traceparent="x" * 100_000))

    assert "traceparent" not in OutboxRow.objects.get().extra


def cause_with(**headers: str) -> Context:
    received = record_of(note(0), correlation_id="saga-7")
    received.headers.update(headers)
    return received.context()


def test_an_event_larger_than_the_limit_is_refused_in_the_callers_transaction(settings):
    settings.MESSAGING = {**settings.MESSAGING, "MAX_EVENT_BYTES": 100}

    with transaction.atomic():
        publish(NoteAdded(key="n", number=1, behaviour="x" * 20))
        with pytest.raises(EventTooLarge, match="at most 100"):
            publish(NoteAdded(key="n", number=2, behaviour="x" * 200))

    assert numbers() == [1]


@pytest.mark.parametrize("key", [None, "", "a\x00b"])
def test_an_event_without_a_usable_key_is_refused(key):
    with transaction.atomic(), pytest.raises(ValueError, match="key"):
        publish(Strange(key=key))


def test_an_event_that_cannot_be_written_as_json_is_refused():
    with transaction.atomic(), pytest.raises(TypeError):
        publish(Strange(key="n", value=object()))


def test_the_signal_tells_of_everything_that_one_statement_recorded():
    signals: list[int] = []

    def receiver(envelopes: Any, **_: Any) -> None:
        signals.append(len(envelopes))

    event_recorded.connect(receiver)
    try:
        with transaction.atomic():
            publish_all([(note(1), None), (note(2), None)])
            publish(note(3))
    finally:
        event_recorded.disconnect(receiver)

    assert signals == [2, 1]


def test_what_is_gathered_is_inserted_once_at_the_end_in_order():
    with transaction.atomic(), gather():
        publish(note(1))
        publish_all([(note(2), None), (note(3), None)])
        assert numbers() == []

    assert numbers() == [1, 2, 3]


def test_what_was_gathered_in_a_rolled_back_savepoint_is_left_out():
    with transaction.atomic(), gather():
        publish(note(1))
        with pytest.raises(Refused), transaction.atomic():
            publish(note(2))
            with transaction.atomic():
                publish(note(3))
            raise Refused
        with transaction.atomic():
            publish(note(4))

    assert numbers() == [1, 4]


def test_gathering_that_ends_with_an_error_inserts_nothing():
    with transaction.atomic(), pytest.raises(Refused), gather():
        publish(note(1))
        raise Refused

    assert numbers() == []


def test_an_event_is_pending_until_its_row_is_gone():
    with transaction.atomic():
        publish(note(1, "pending"))
    assert outbox_pending("pending")

    OutboxRow.objects.all().delete()

    assert not outbox_pending("pending")


def test_the_time_of_an_event_is_when_it_was_published():
    before = datetime.now(UTC)
    with transaction.atomic():
        publish(note(1))

    assert before <= OutboxRow.objects.get().occurred_at <= datetime.now(UTC)
