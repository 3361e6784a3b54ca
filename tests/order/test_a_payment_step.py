"""The recipe "Add a saga step" of CONTRIBUTING.md, followed: a payment service takes the money for an order.

What the recipe changes in the code is put in place by the fixture; everything else is the order service as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from django.conf import LazySettings

from contracts.order import OrderCanceled, OrderConfirmed, OrderCreated
from docs.generate.saga import sequence_diagram
from messaging import Event, event, registry
from messaging.checks import handlers_fit_topology
from messaging.testing import deliver, published
from order_app import selectors
from order_app.domain import Draft, Step, steps
from tests.order.given import a_product, an_order, reduce_failed, reduced, shape, stock_restored

pytestmark = pytest.mark.django_db(transaction=True)


# Step 1 of the recipe: the participant's events, in contracts/payment.py.


@event("payment.PaymentTaken.v1", topic="payment.events", key="order_id")
class PaymentTaken(Event, frozen=True, kw_only=True):
    """The money for the order is taken."""

    order_id: UUID


@event("payment.PaymentFailed.v1", topic="payment.events", key="order_id")
class PaymentFailed(Event, frozen=True, kw_only=True):
    """No money is taken. `reason`: card_declined, retries_exhausted or order_canceled."""

    order_id: UUID
    reason: str


@event("payment.PaymentRefunded.v1", topic="payment.events", key="order_id")
class PaymentRefunded(Event, frozen=True, kw_only=True):
    """The canceled order holds no money. `restored` is false when none was ever taken."""

    order_id: UUID
    restored: bool


# Step 2: a row in the table of steps, in order_app/domain/steps.py.


def free_of_charge(draft: Draft) -> bool:
    """When there is nothing to pay."""
    return draft.total == 0


PAYMENT = Step(
    name="payment",
    service="payment",
    topic="payment.events",
    succeeds="payment.PaymentTaken.v1",
    fails="payment.PaymentFailed.v1",
    undone="payment.PaymentRefunded.v1",
    skipped_when=free_of_charge,
)


_TYPES = (PAYMENT.succeeds, PAYMENT.fails, PAYMENT.undone)


@pytest.fixture
def payment_step(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> Iterator[None]:
    """Put the three changes of the recipe in place: the step, the topic of the group, the events of the handler."""
    monkeypatch.setattr(steps, "STEPS", (*steps.STEPS, PAYMENT))
    groups = settings.MESSAGING["GROUPS"]
    settings.MESSAGING = settings.MESSAGING | {"GROUPS": groups | {"order": [*groups["order"], PAYMENT.topic]}}
    before = registry.handler_named("order.on_answer")
    registry.remove(before)
    registry.add(replace(before, types=(*before.types, *_TYPES), topics=(*before.topics, PAYMENT.topic)))
    yield
    registry.remove(registry.handler_named("order.on_answer"))
    registry.add(before)


@pytest.mark.usefixtures("payment_step")
def test_an_order_is_confirmed_once_it_is_paid_too() -> None:
    order_id = an_order(coupon=False)
    assert shape(order_id) == ("PENDING", "RUNNING", {"stock": "PENDING", "coupon": "SKIPPED", "payment": "PENDING"})

    deliver(reduced(order_id))
    assert published(OrderConfirmed) == []

    deliver(PaymentTaken(order_id=order_id))
    assert [each.order_id for each in published(OrderConfirmed)] == [order_id]
    assert shape(order_id) == ("CONFIRMED", "COMPLETED", {"stock": "DONE", "coupon": "SKIPPED", "payment": "DONE"})


@pytest.mark.usefixtures("payment_step")
def test_a_declined_card_cancels_the_order_and_every_step_is_undone() -> None:
    order_id = an_order(coupon=False)
    deliver(reduced(order_id))

    deliver(PaymentFailed(order_id=order_id, reason="card_declined"))
    assert [each.reason for each in published(OrderCanceled)] == ["card_declined"]
    assert shape(order_id)[:2] == ("CANCELED", "COMPENSATING")

    deliver(stock_restored(order_id))
    assert shape(order_id)[1] == "COMPENSATING"

    deliver(PaymentRefunded(order_id=order_id, restored=False))
    assert shape(order_id) == (
        "CANCELED",
        "COMPENSATED",
        {"stock": "UNDONE", "coupon": "SKIPPED", "payment": "UNDONE"},
    )


@pytest.mark.usefixtures("payment_step")
def test_money_that_was_taken_comes_back_when_another_step_fails() -> None:
    order_id = an_order(coupon=False)

    deliver(
        PaymentTaken(order_id=order_id),
        reduce_failed(order_id),
        stock_restored(order_id, restored=False),
    )
    assert shape(order_id)[1:] == ("COMPENSATING", {"stock": "UNDONE", "coupon": "SKIPPED", "payment": "UNDOING"})
    assert any("payment" in words for words in selectors.waiting_for(selectors.get_saga(order_id)))

    deliver(PaymentRefunded(order_id=order_id, restored=True))
    assert shape(order_id)[1] == "COMPENSATED"
    assert not selectors.get_saga(order_id).flagged


@pytest.mark.usefixtures("payment_step")
def test_the_step_is_skipped_when_there_is_nothing_to_pay() -> None:
    order_id = an_order(coupon=False, product_id=a_product("0.00"))

    deliver(reduced(order_id))

    assert shape(order_id) == ("CONFIRMED", "COMPLETED", {"stock": "DONE", "coupon": "SKIPPED", "payment": "SKIPPED"})


def test_an_order_that_was_placed_before_the_step_was_added_ends_without_it(
    request: pytest.FixtureRequest,
) -> None:
    order_id = an_order(coupon=False)
    request.getfixturevalue("payment_step")

    deliver(reduced(order_id))

    assert shape(order_id) == ("CONFIRMED", "COMPLETED", {"stock": "DONE", "coupon": "SKIPPED"})


@pytest.mark.usefixtures("payment_step")
def test_the_request_to_pay_is_the_same_event_as_for_every_step() -> None:
    order_id = an_order(coupon=False)

    assert [each.order_id for each in published(OrderCreated)] == [order_id]
    assert handlers_fit_topology() == []


@pytest.mark.usefixtures("payment_step")
def test_the_diagram_shows_the_new_step() -> None:
    assert "payment->>order: PaymentTaken" in sequence_diagram()
