"""The handlers as the consumer calls them: through the inbox, as a batch and event by event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from contracts.order import OrderCanceled, OrderConfirmed, OrderCreated, OrderLine
from contracts.product import StockReduced, StockReduceFailed, StockRestored
from messaging.models import DeadLetterRow, OutboxRow, ParkedKey
from messaging.testing import (
    assert_same_however_delivered,
    deliver,
    deliver_late,
    forget_published,
    published,
    record_of,
    states_in_every_order,
)
from product_app import domain, services
from product_app.models import Product, StockDecision, StockHold

pytestmark = pytest.mark.django_db(transaction=True)
both_ways = pytest.mark.parametrize("singly", [False, True], ids=["batch", "event by event"])


def created(order_id: UUID, product_id: UUID, quantity: int = 2) -> OrderCreated:
    line = OrderLine(product_id=product_id, quantity=quantity, unit_price=Decimal("5"))
    return OrderCreated(
        order_id=order_id,
        user_id=uuid4(),
        lines=(line,),
        coupon_id=None,
        total=Decimal("10"),
        currency="KRW",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def canceled(order_id: UUID, product_id: UUID) -> OrderCanceled:
    line = OrderLine(product_id=product_id, quantity=99, unit_price=Decimal("5"))
    return OrderCanceled(
        order_id=order_id, user_id=uuid4(), lines=(line,), coupon_id=None, reason="customer", actor="customer"
    )


@pytest.fixture
def tea(make_product: Callable[..., Product]) -> UUID:
    """A product with three pieces; nothing is left in the outbox of its making."""
    product = make_product(3)
    forget_published()
    return product.id


@both_ways
def test_each_answer_names_the_event_that_it_answers(tea: UUID, singly: bool) -> None:
    first, second = sorted((uuid4(), uuid4()), key=str)  # a batch goes by key
    records = [record_of(event) for event in (created(first, tea), created(second, tea), canceled(first, tea))]

    deliver(*records, singly=singly)

    rows = OutboxRow.objects.values_list("key", "type", "causation_id", "correlation_id")
    assert set(rows) == {
        (str(first), "product.StockReduced.v1", records[0].event_id, str(first)),
        (str(second), "product.StockReduceFailed.v1", records[1].event_id, str(second)),
        (str(first), "product.StockRestored.v1", records[2].event_id, str(first)),
    }
    assert Product.objects.get().quantity == 3


@both_ways
def test_the_same_record_a_hundred_times_is_answered_once(tea: UUID, singly: bool) -> None:
    record = record_of(created(uuid4(), tea))

    for _ in range(100):
        deliver(record, singly=singly)

    assert len(published()) == 1
    assert Product.objects.get().quantity == 1


def stock() -> tuple[list[int], list[tuple[UUID, str, str]], list[tuple[UUID, int, bool]]]:
    """Return what is in stock, what was decided, and what is held or was given back."""
    holds = [(hold.decision_id, hold.quantity, hold.restored_at is None) for hold in StockHold.objects.order_by("id")]
    decisions = StockDecision.objects.order_by("order_id").values_list("order_id", "decision", "reason")
    return list(Product.objects.values_list("quantity", flat=True)), list(decisions), holds


def test_orders_end_the_same_however_they_are_delivered(tea: UUID) -> None:
    first, second = sorted((uuid4(), uuid4()), key=str)

    assert_same_however_delivered(created(first, tea), created(second, tea), canceled(first, tea), snapshot=stock)

    assert stock()[0] == [3]


def test_an_order_that_is_canceled_holds_nothing_in_whichever_order_its_events_come(tea: UUID) -> None:
    order = uuid4()

    ends = states_in_every_order(created(order, tea), created(order, tea), canceled(order, tea), snapshot=stock)

    assert {str(quantities) for quantities, _, _ in ends.values()} == {"[3]"}
    assert {decided[0][1] for _, decided, _ in ends.values()} == {"RESTORED", "CANCELED_FIRST"}


@both_ways
def test_a_request_that_comes_after_its_cancel_is_refused(tea: UUID, singly: bool) -> None:
    order = uuid4()

    deliver_late(created(order, tea), after=[canceled(order, tea)], singly=singly)

    assert published() == [
        StockRestored(order_id=order, restored=False),
        StockReduceFailed(order_id=order, reason="order_canceled", detail=""),
    ]


@both_ways
def test_a_request_sent_again_as_a_new_event_is_answered_again(tea: UUID, singly: bool) -> None:
    order = uuid4()

    deliver(created(order, tea), created(order, tea), singly=singly)

    assert published(StockReduced)[0] == published(StockReduced)[1]
    assert Product.objects.get().quantity == 1


@both_ways
def test_a_cancel_is_answered_with_what_was_held_not_with_its_own_lines(tea: UUID, singly: bool) -> None:
    order = uuid4()

    deliver(created(order, tea), canceled(order, tea), singly=singly)

    assert published(StockRestored) == [StockRestored(order_id=order, restored=True)]
    assert Product.objects.get().quantity == 3


def test_an_order_that_cannot_be_decided_is_refused_when_the_retries_are_exhausted(
    tea: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    order = uuid4()
    monkeypatch.setattr(domain, "find_obstacle", fail)

    deliver(created(order, tea), singly=True)

    assert [(failed.order_id, failed.reason) for failed in published(StockReduceFailed)] == [
        (order, "retries_exhausted")
    ]
    assert StockDecision.objects.get().decision == "REFUSED"


def test_a_cancel_that_keeps_failing_is_not_skipped(tea: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(services, "answer_order_events", fail)
    deliver(canceled(uuid4(), tea), singly=True)

    assert published() == []
    assert DeadLetterRow.objects.get().reason == "handler_failed"
    assert ParkedKey.objects.exists()


def test_a_confirmed_order_is_no_business_of_the_stock(tea: UUID) -> None:
    confirmed = OrderConfirmed(
        order_id=uuid4(),
        user_id=uuid4(),
        lines=(OrderLine(product_id=tea, quantity=1, unit_price=Decimal(1)),),
        total=Decimal(1),
        discount=Decimal(0),
        currency="KRW",
    )
    deliver(confirmed)
    assert (published(), StockDecision.objects.count()) == ([], 0)
