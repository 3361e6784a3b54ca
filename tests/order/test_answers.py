"""Answers on the real database, as the consumer brings them: in batches, singly, again, late, for nobody."""

from __future__ import annotations

import dataclasses
import random
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import InternalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from contracts.order import OrderCanceled, OrderConfirmed, OrderCreated
from messaging import Delivery, Event
from messaging.models import DeadLetterRow
from messaging.testing import (
    assert_same_however_delivered,
    deliver,
    deliver_late,
    forget_published,
    published,
    record_of,
    states_in_every_order,
)
from order_app import services
from order_app.models import OperatorAction, Order, Saga, SagaHistory
from tests.order.given import (
    a_confirmed_order,
    a_product,
    all_rows,
    an_order,
    coupon_restored,
    reduce_failed,
    reduced,
    shape,
    stock_restored,
    story,
    use_failed,
    used,
)

COUPON_FIRST = (used, use_failed, coupon_restored)

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_order_is_published_as_it_was_placed() -> None:
    order_id = an_order()
    order = Order.objects.get(id=order_id)
    (event,) = published(OrderCreated)
    assert (event.order_id, event.user_id, event.coupon_id) == (order_id, order.user_id, order.coupon_id)
    assert (event.total, event.currency, event.created_at) == (Decimal("20.00"), "USD", order.created_at)
    assert [(line.quantity, line.unit_price) for line in event.lines] == [(2, Decimal("10.00"))]


def test_both_answers_confirm_the_order_with_the_discount() -> None:
    order_id = an_order()
    deliver(used(order_id, "3.00"), reduced(order_id))
    assert shape(order_id) == ("CONFIRMED", "COMPLETED", {"stock": "DONE", "coupon": "DONE"})
    (event,) = published(OrderConfirmed)
    assert (event.order_id, event.total, event.discount) == (order_id, Decimal("20.00"), Decimal("3.00"))
    assert len(event.lines) == 1
    assert Saga.objects.get(order_id=order_id).finished_at


@pytest.mark.parametrize("singly", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_two_participants_may_give_their_answers_one_id(singly: bool, at_once: bool) -> None:
    order_id = an_order()
    answers = [record_of(answer, event_id="1") for answer in (reduced(order_id), used(order_id))]
    for batch in [answers] if at_once else [[answer] for answer in answers]:
        deliver(*batch, singly=singly)
    deliver(*answers, *answers, singly=singly)
    assert shape(order_id) == ("CONFIRMED", "COMPLETED", {"stock": "DONE", "coupon": "DONE"})
    assert len(published(OrderConfirmed)) == 1


def test_an_order_without_coupon_waits_for_stock_alone() -> None:
    order_id = an_order(coupon=False)
    deliver(reduced(order_id))
    assert shape(order_id) == ("CONFIRMED", "COMPLETED", {"stock": "DONE", "coupon": "SKIPPED"})


def test_a_refused_coupon_cancels_and_every_undo_ends_the_saga() -> None:
    order_id = an_order()
    deliver(reduced(order_id))
    deliver(use_failed(order_id, "expired"))
    (event,) = published(OrderCanceled)
    assert (event.reason, event.actor, len(event.lines)) == ("expired", "coupon", 1)
    assert shape(order_id) == ("CANCELED", "COMPENSATING", {"stock": "UNDOING", "coupon": "UNDOING"})
    deliver(coupon_restored(order_id, restored=False), stock_restored(order_id))
    assert shape(order_id) == ("CANCELED", "COMPENSATED", {"stock": "UNDONE", "coupon": "UNDONE"})
    saga = Saga.objects.get(order_id=order_id)
    assert (saga.flagged, saga.undo_next_at) == (False, None)
    assert saga.order.reason == "expired"


def test_the_history_tells_the_whole_story_in_order() -> None:
    order_id = an_order(coupon=False)
    deliver(reduce_failed(order_id))
    deliver(stock_restored(order_id, restored=False))
    assert story(order_id) == [
        "saga >RUNNING OrderCreated",
        "stock PENDING>FAILED StockReduceFailed",
        "saga RUNNING>COMPENSATING OrderCanceled",
        "stock FAILED>UNDOING OrderCanceled",
        "stock UNDOING>UNDONE StockRestored",
        "saga COMPENSATING>COMPENSATED StockRestored",
    ]


def test_the_history_keeps_the_answers_data_and_headers() -> None:
    order_id = an_order(coupon=False)
    record = record_of(reduced(order_id))
    deliver(record)
    row = SagaHistory.objects.get(saga_id=order_id, step="stock")
    assert (row.event_id, row.data, row.actor) == (record.event_id, record.data.decode(), "product")
    assert row.headers["ce_id"] == record.event_id


def test_a_step_tells_how_many_attempts_its_participant_needed() -> None:
    order_id = an_order(coupon=False)
    record = record_of(reduced(order_id))
    record.headers["ce_causeattempts"] = "3"
    deliver(record)
    assert Saga.objects.get(order_id=order_id).steps.get(name="stock").attempts == 3


@pytest.mark.parametrize("text", ["many", "-1", "", "9" * 30, "²"])
def test_a_foreign_attempts_header_does_no_harm(text: str) -> None:
    order_id = an_order(coupon=False)
    record = record_of(reduced(order_id))
    record.headers["ce_causeattempts"] = text
    deliver(record)
    assert shape(order_id)[0] == "CONFIRMED"


def as_read(event: Event, **changes: Any) -> Delivery:
    """Return the event as a handler gets it, with other headers or data than it would have."""
    return Delivery(event, dataclasses.replace(record_of(event).context(), **changes))


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"headers": {"x-schema-id": "\x00\x00\x07", "x\x00": "\udcff"}}, "{"),
        ({"data": b'{"x":"\xff"}'}, '{"x":"\ufffd"}'),
        ({"data": b'{"x":"\\u0000"}'}, '{"x":"\\u0000"}'),
        ({"data": b'{"x":"\x00"}'}, '{"x":"\ufffd"}'),
    ],
)
def test_whatever_an_answer_carries_is_kept_in_the_history(changes: dict[str, Any], kept: str) -> None:
    order_id = an_order(coupon=False)
    with transaction.atomic():
        assert services.apply_answers(deliveries=[as_read(reduced(order_id), **changes)]) == []
    assert shape(order_id)[0] == "CONFIRMED"
    assert SagaHistory.objects.get(saga_id=order_id, step="stock").data.startswith(kept)


@pytest.mark.parametrize(("reason", "kept"), [("a\x00b", "a\ufffdb"), ("x" * 1_000_000, "x" * 200)])
def test_any_reason_cancels_and_can_be_published(reason: str, kept: str) -> None:
    order_id = an_order(coupon=False)
    with transaction.atomic():
        services.apply_answers(deliveries=[as_read(reduce_failed(order_id, reason), data=b"{}")])
    assert shape(order_id)[0] == "CANCELED"
    assert published(OrderCanceled)[0].reason == kept


@pytest.mark.parametrize("discount", ["20.01", "999999", "3.001"])
def test_a_discount_that_can_not_be_given_is_flagged_and_its_order_is_not_confirmed(discount: str) -> None:
    order_id = an_order()
    deliver(reduced(order_id), used(order_id, discount))
    assert shape(order_id) == ("PENDING", "RUNNING", {"stock": "DONE", "coupon": "PENDING"})
    assert Saga.objects.get(order_id=order_id).flagged
    assert SagaHistory.objects.get(saga_id=order_id, flagged=True).step == "coupon"
    assert published(OrderConfirmed) == []


def test_a_duplicate_stock_reduced_confirms_once() -> None:
    order_id = an_order(coupon=False)
    record = record_of(reduced(order_id))
    for _ in range(100):
        deliver(record)
    assert len(published(OrderConfirmed)) == 1
    assert len(story(order_id)) == 3


def test_answers_end_the_same_however_they_are_delivered() -> None:
    confirmed, canceled = sorted((an_order(), an_order()), key=str)
    answers = [used(confirmed), reduced(confirmed), use_failed(canceled), reduced(canceled)]
    forget_published()

    assert_same_however_delivered(*answers, stock_restored(canceled), snapshot=lambda: (all_rows(), story(canceled)))

    assert shape(confirmed)[0] == "CONFIRMED"
    assert shape(canceled)[1:] == ("COMPENSATING", {"stock": "UNDONE", "coupon": "UNDOING"})


def test_an_order_with_one_refusal_is_canceled_in_whichever_order_the_answers_come() -> None:
    order_id = an_order()
    answers = [reduced(order_id), use_failed(order_id), reduced(order_id)]

    ends = states_in_every_order(*answers, snapshot=lambda: (shape(order_id), len(published(OrderCanceled))))

    assert list(ends.values()) == [(("CANCELED", "COMPENSATING", {"stock": "UNDOING", "coupon": "UNDOING"}), 1)] * 6


def test_an_answer_that_comes_after_the_end_changes_nothing() -> None:
    order_id = an_order(coupon=False)

    deliver_late(reduced(order_id), after=[reduce_failed(order_id), stock_restored(order_id, restored=False)])

    assert shape(order_id)[1] == "COMPENSATED"


def test_answers_again_under_new_ids_change_no_row_and_publish_nothing() -> None:
    confirmed, canceled = a_confirmed_order(), an_order()
    answers = [reduced(confirmed), used(confirmed), reduced(canceled), use_failed(canceled)]
    ends = [stock_restored(canceled), coupon_restored(canceled, restored=False)]
    deliver(*answers, *ends)
    before = all_rows()
    forget_published()
    random.Random(7).shuffle(answers)
    deliver(*answers, *ends, *answers)
    assert all_rows() == before
    assert published() == []


def test_a_late_success_is_undone_by_the_cancel_that_was_sent() -> None:
    order_id = an_order(coupon=False)
    with transaction.atomic():
        services.cancel_order(order_id=order_id, user_id=uuid4())
    deliver(reduced(order_id))
    assert shape(order_id)[1:] == ("COMPENSATING", {"stock": "UNDOING", "coupon": "SKIPPED"})
    assert len(published(OrderCanceled)) == 1
    deliver(stock_restored(order_id))
    assert shape(order_id)[1] == "COMPENSATED"
    deliver(reduced(order_id))
    assert shape(order_id)[1] == "COMPENSATED"


def test_a_contradiction_is_flagged_and_changes_nothing() -> None:
    order_id = a_confirmed_order()
    deliver(reduce_failed(order_id))
    assert shape(order_id)[0] == "CONFIRMED"
    assert Saga.objects.get(order_id=order_id).flagged
    assert SagaHistory.objects.filter(saga_id=order_id, flagged=True).count() == 1


def test_an_answer_for_an_unknown_order_is_a_dead_letter_and_holds_up_nobody() -> None:
    order_id, nobody = an_order(coupon=False), uuid4()
    deliver(reduced(nobody), reduced(order_id))
    assert DeadLetterRow.objects.get().reason == "unknown_order"
    assert shape(order_id)[0] == "CONFIRMED"


def test_a_batch_ends_as_the_same_events_do_one_by_one() -> None:
    product_id = a_product()
    random_source = random.Random(11)
    pairs = [(an_order(product_id=product_id), an_order(product_id=product_id)) for _ in range(30)]
    batch, singly = [], []
    for together, alone in pairs:
        makers = [reduced, used, reduce_failed, use_failed, stock_restored, coupon_restored, reduced]
        # Between topics the log has no order, and a batch takes the events of a key topic by topic.
        chosen = random_source.sample(makers, k=random_source.randint(1, 7))
        chosen.sort(key=lambda make: make not in COUPON_FIRST)
        batch += [make(together) for make in chosen]
        singly += [make(alone) for make in chosen]
    deliver(*batch)
    deliver(*singly, singly=True)
    for together, alone in pairs:
        assert shape(together) == shape(alone)
        assert story(together) == story(alone)
    names = [(type(event).__name__, event.order_id) for event in published()]
    for together, alone in pairs:
        assert [name for name, key in names if key == together] == [name for name, key in names if key == alone]


def test_a_batch_costs_the_same_number_of_statements_however_large_it_is() -> None:
    def statements(size: int) -> int:
        product_id = a_product()
        ids = [an_order(product_id=product_id) for _ in range(size)]
        with CaptureQueriesContext(connection) as queries:
            deliver(*[reduced(order_id) for order_id in ids], *[use_failed(order_id) for order_id in ids])
        return len(queries)

    assert statements(40) == statements(2)


@pytest.mark.parametrize("table", ["order_app_sagahistory", "order_app_operatoraction"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET actor = 'me'"])
def test_the_ledgers_refuse_every_change_in_the_database_too(table: str, change: str) -> None:
    a_confirmed_order()
    OperatorAction.objects.create(
        actor="a", verb="v", reason="r", targets=[], results=[], at=Order.objects.get().created_at
    )
    with pytest.raises(InternalError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.format(table))
