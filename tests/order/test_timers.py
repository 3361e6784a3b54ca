"""Deadlines and undo requests on the real database: what time does, and what keeps it from acting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.utils import timezone

from contracts.order import OrderCanceled
from messaging import TransientError
from messaging.consumer.retry_parked import retry_due
from messaging.models import ConsumerPosition, InboxRow, OutboxRow
from messaging.testing import deliver, forget_published, published
from order_app import selectors, services, tasks
from order_app.models import Saga, SagaHistory
from tests.order.given import an_order, coupon_restored, reduced, shape, stock_restored

pytestmark = pytest.mark.django_db(transaction=True)

LATE = timedelta(hours=1)
END = {("product.events", 0): 7, ("coupon.events", 0): 3}


@pytest.fixture(autouse=True)
def timing(settings: LazySettings) -> None:
    settings.SAGA_DEADLINE_SECONDS = 900
    settings.SAGA_UNDO_BUDGET_SECONDS = 600
    settings.SAGA_UNDO_RETRY_SECONDS = 30
    settings.SAGA_UNDO_RETRY_CAP_SECONDS = 300


def we_are_at(**offsets: int) -> None:
    """Set our own positions in partition 0 of product.events and coupon.events."""
    for topic, offset in offsets.items():
        place = {"consumer_group": "order", "topic": f"{topic}.events", "partition": 0}
        ConsumerPosition.objects.update_or_create(**place, defaults={"next_offset": offset})


def sweep(order_id: UUID, *, after: timedelta = LATE, end: dict[tuple[str, int], int] | None = None) -> int:
    """Run the deadline's sweep over one order."""
    with transaction.atomic():
        return services.cancel_overdue(
            order_ids=[order_id], end_offsets=END if end is None else end, now=timezone.now() + after
        )


@pytest.fixture
def late_order() -> Iterator[UUID]:
    """An order whose request has left the outbox, and of which we have heard all that was said: nothing."""
    order_id = an_order()
    forget_published()
    we_are_at(product=7, coupon=3)
    return order_id


def test_a_late_saga_is_canceled_when_the_guard_holds(late_order: UUID) -> None:
    assert sweep(late_order) == 1
    assert shape(late_order) == ("CANCELED", "COMPENSATING", {"stock": "UNDOING", "coupon": "UNDOING"})
    (event,) = published(OrderCanceled)
    assert (event.reason, event.actor) == ("deadline_passed", "deadline")


def test_a_saga_in_time_is_left_alone(late_order: UUID) -> None:
    assert sweep(late_order, after=timedelta(minutes=14)) == 0
    assert Saga.objects.get().guard_offsets is None


def test_our_own_backlog_cancels_nothing(late_order: UUID) -> None:
    we_are_at(product=6)
    assert sweep(late_order) == 0
    deliver(reduced(late_order))
    we_are_at(product=7)
    assert sweep(late_order) == 1


def test_a_page_of_late_sagas_asks_as_much_as_one(django_assert_max_num_queries: Any) -> None:
    ids = [an_order() for _ in range(20)]
    forget_published()
    we_are_at(product=6, coupon=3)
    with django_assert_max_num_queries(10), transaction.atomic():
        services.cancel_overdue(order_ids=ids, end_offsets=END, now=timezone.now() + LATE)
    assert set(Saga.objects.values_list("status", flat=True)) == {"RUNNING"}


def test_each_saga_of_a_page_has_its_own_guard() -> None:
    sent, unsent, unhandled = [an_order() for _ in range(3)]
    OutboxRow.objects.exclude(key=str(unsent)).delete()
    we_are_at(product=7, coupon=3)
    place = {"topic": "coupon.events", "partition": 0, "offset": 1}
    InboxRow.objects.create(event_id="x", handler="h", key=str(unhandled), state="dead", **place)
    with transaction.atomic():
        services.cancel_overdue(order_ids=[sent, unsent, unhandled], end_offsets=END, now=timezone.now() + LATE)
    assert list(Saga.objects.filter(status="COMPENSATING").values_list("order_id", flat=True)) == [sent]


def test_the_end_offsets_are_taken_once(late_order: UUID) -> None:
    we_are_at(product=6)
    sweep(late_order)
    assert Saga.objects.get().guard_offsets == {"product.events/0": 7, "coupon.events/0": 3}
    we_are_at(product=7)
    assert sweep(late_order, end=dict.fromkeys(END, 1_000)) == 1


@pytest.mark.parametrize(
    "gone",
    [{"product.events/0": 5_000, "coupon.events/0": 3}, {"product.events/7": 1, "product.events/0": 7}],
    ids=["beyond the log", "a partition less"],
)
def test_kept_offsets_of_a_log_that_is_gone_are_taken_again(late_order: UUID, gone: dict[str, int]) -> None:
    """A topic was made again, or its broker lost records; then an operator moved our group into the new log."""
    Saga.objects.update(guard_offsets={"coupon.events/0": 3} | gone)
    we_are_at(product=6)
    assert sweep(late_order) == 0
    assert Saga.objects.get().guard_offsets == {"product.events/0": 7, "coupon.events/0": 3}
    we_are_at(product=7)
    assert sweep(late_order) == 1


def test_kept_offsets_stay_while_the_topic_is_left_out(late_order: UUID) -> None:
    """Our position is of another log than the topic's present one: the ends that we have passed still count."""
    kept = {"product.events/0": 5_000, "coupon.events/0": 3}
    Saga.objects.update(guard_offsets=kept)
    we_are_at(product=4_999)
    assert sweep(late_order, end={("coupon.events", 0): 3}) == 0
    assert Saga.objects.get().guard_offsets == kept
    we_are_at(product=5_000)
    assert sweep(late_order, end={("coupon.events", 0): 3}) == 1


@pytest.mark.parametrize("end", [{}, {("product.events", 0): 7}, {("order.events", 0): 1}])
def test_end_offsets_that_lack_a_topic_cancel_nothing_and_are_not_kept(
    late_order: UUID, end: dict[tuple[str, int], int]
) -> None:
    assert sweep(late_order, end=end) == 0
    assert Saga.objects.get().guard_offsets is None
    assert sweep(late_order) == 1


@pytest.mark.parametrize("kept", [{}, {"coupon.events/0": 3}])
def test_kept_offsets_that_lack_a_topic_are_taken_anew(late_order: UUID, kept: dict[str, int]) -> None:
    Saga.objects.update(guard_offsets=kept)
    assert sweep(late_order, end={}) == 0
    we_are_at(product=6)
    assert sweep(late_order) == 0
    assert Saga.objects.get().guard_offsets == {"product.events/0": 7, "coupon.events/0": 3}


def test_a_request_that_has_not_left_us_cancels_nothing(late_order: UUID) -> None:
    OutboxRow.objects.create(
        event_id="x", topic="order.events", key=str(late_order), shard=0, type="x", occurred_at=timezone.now(), data=b""
    )
    assert sweep(late_order) == 0
    assert Saga.objects.get().guard_offsets is None  # what the participants have said by now is no answer to it


@pytest.mark.parametrize("state", ["waiting", "dead"])
def test_a_parked_or_dead_answer_cancels_nothing(late_order: UUID, state: str) -> None:
    InboxRow.objects.create(
        event_id="x", handler="h", topic="product.events", partition=0, offset=1, key=str(late_order), state=state
    )
    assert sweep(late_order) == 0


def test_an_answer_that_is_parked_here_cancels_nothing_and_confirms_when_its_turn_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order_id = an_order(coupon=False)
    forget_published()
    we_are_at(product=7, coupon=3)

    def fail(**_: object) -> None:
        raise TransientError("the till is jammed")

    with monkeypatch.context() as patched:
        patched.setattr(services, "apply_answers", fail)
        deliver(reduced(order_id), singly=True)
    we_are_at(product=7)
    assert sweep(order_id) == 0
    InboxRow.objects.filter(state="waiting").update(next_attempt_at=timezone.now())
    retry_due()
    assert shape(order_id) == ("CONFIRMED", "COMPLETED", {"stock": "DONE", "coupon": "SKIPPED"})
    assert sweep(order_id) == 0


def test_a_saga_that_has_ended_meanwhile_is_left_alone(late_order: UUID) -> None:
    with transaction.atomic():
        services.cancel_order(order_id=late_order, user_id=uuid4())
    assert sweep(late_order) == 0


def test_the_sweep_finds_late_sagas_page_by_page(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> None:
    settings.SAGA_DEADLINE_SECONDS = -1
    ids = [an_order(coupon=False) for _ in range(5)]
    forget_published()
    we_are_at(product=7, coupon=3)
    asked: list[list[str]] = []
    read: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(tasks, "end_offsets", lambda topics: asked.append(topics) or END)
    monkeypatch.setattr(tasks, "ask_readings", lambda topic, groups: read.append((topic, groups)) or {})
    monkeypatch.setattr(tasks.selectors, "list_overdue", _in_twos(selectors.list_overdue))
    assert tasks.sweep_deadlines() == 5
    assert asked == [["product.events", "coupon.events"]]
    assert read == [("order.events", {"product": "product", "coupon": "coupon"})]
    assert {shape(order_id)[0] for order_id in ids} == {"CANCELED"}
    assert tasks.sweep_deadlines() == 0
    assert len(asked) == len(read) == 1


def _in_twos(find: Any) -> Any:
    return lambda **options: find(**{**options, "limit": 2})


def undo_due(after: timedelta) -> list[UUID]:
    """Return the sagas whose undo is due so much later."""
    return selectors.list_undo_due(now=timezone.now() + after)


def ask_again(order_id: UUID, now: datetime) -> int:
    """Run the undo timer over one order."""
    with transaction.atomic():
        return services.ask_undo_again(order_ids=[order_id], now=now)


@pytest.fixture
def canceled_order() -> UUID:
    """An order that was canceled, and its OrderCanceled sent."""
    order_id = an_order()
    with transaction.atomic():
        services.cancel_order(order_id=order_id, user_id=uuid4())
    return order_id


def test_the_same_undo_request_is_sent_again_with_growing_waits_then_raises_the_alarm_and_goes_on(
    canceled_order: UUID,
) -> None:
    (first,) = published(OrderCanceled)
    started, waits = Saga.objects.get().undo_asked_at, []
    assert started
    now = started
    while Saga.objects.get().status == "COMPENSATING":
        forget_published()
        due = Saga.objects.get().undo_next_at
        assert due
        assert ask_again(canceled_order, due - timedelta(milliseconds=1)) == 0
        assert ask_again(canceled_order, due) == 1
        assert published(OrderCanceled) == [first]
        waits.append((due - now).total_seconds())
        now = due
    assert waits == [30, 60, 120, 240, 150]
    saga = Saga.objects.get()
    assert (saga.status, saga.undo_next_at, saga.undo_count) == ("COMPENSATION_STUCK", now + timedelta(seconds=300), 5)


def test_a_stuck_saga_still_ends_by_its_answers(canceled_order: UUID) -> None:
    forget_published()
    ask_again(canceled_order, timezone.now() + LATE)
    assert shape(canceled_order)[1] == "COMPENSATION_STUCK"
    deliver(stock_restored(canceled_order), coupon_restored(canceled_order, restored=False))
    assert shape(canceled_order)[1] == "COMPENSATED"
    assert undo_due(LATE * 100) == []


def test_a_request_still_in_our_outbox_is_not_sent_twice_but_the_alarm_is_raised(canceled_order: UUID) -> None:
    ask_again(canceled_order, timezone.now() + timedelta(seconds=31))
    assert len(published(OrderCanceled)) == 1
    assert undo_due(timedelta(seconds=32)) == []
    ask_again(canceled_order, timezone.now() + LATE)
    assert shape(canceled_order)[1] == "COMPENSATION_STUCK"
    assert len(published(OrderCanceled)) == 1


def test_each_request_sent_again_is_caused_by_the_first(canceled_order: UUID) -> None:
    first = OutboxRow.objects.get(type="order.OrderCanceled.v1").event_id
    sent = []
    for seconds in (31, 31 + 61):
        forget_published()
        ask_again(canceled_order, timezone.now() + timedelta(seconds=seconds))
        again = OutboxRow.objects.get()
        assert (again.causation_id, again.correlation_id) == (first, str(canceled_order))
        sent.append(again.event_id)
    assert len({first, *sent}) == 3
    assert [row.event_id for row in SagaHistory.objects.filter(actor="timer")] == sent


def test_a_saga_resolved_by_hand_goes_on_being_asked_for_until_the_answer_comes(canceled_order: UUID) -> None:
    forget_published()
    ask_again(canceled_order, timezone.now() + LATE)
    with transaction.atomic():
        services.resolve_by_hand(order_ids=[canceled_order], actor="kim", reason="counted by hand")
    assert shape(canceled_order) == ("CANCELED", "BY_HAND", {"stock": "WAIVED", "coupon": "WAIVED"})
    forget_published()
    assert ask_again(canceled_order, timezone.now() + LATE) == 1
    assert len(published(OrderCanceled)) == 1
    deliver(stock_restored(canceled_order), coupon_restored(canceled_order))
    assert shape(canceled_order) == ("CANCELED", "COMPENSATED", {"stock": "UNDONE", "coupon": "UNDONE"})


def test_the_undo_task_finds_what_is_due(canceled_order: UUID) -> None:
    forget_published()
    Saga.objects.update(undo_next_at=timezone.now())
    assert tasks.ask_undo_again() == 1
    assert tasks.ask_undo_again() == 0
