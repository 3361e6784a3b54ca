"""What operators do to sagas: each result, each row of the audit log, and that doing it twice does nothing twice."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from contracts.order import OrderCanceled, OrderCreated
from messaging import ReasonMissing, Result
from messaging.models import OutboxRow
from messaging.testing import deliver, forget_published, published
from order_app import services
from order_app.models import OperatorAction, SagaHistory
from tests.order.given import a_confirmed_order, an_order, coupon_restored, shape, stock_restored

pytestmark = pytest.mark.django_db(transaction=True)

VERBS = {
    "compensate": services.compensate,
    "request again": services.request_again,
    "resolve by hand": services.resolve_by_hand,
}


def act(verb: str, *order_ids: UUID, reason: str = "because") -> list[Result]:
    """Act as the operator kim."""
    with transaction.atomic():
        return VERBS[verb](order_ids=order_ids, actor="kim", reason=reason)


def a_stuck_order() -> UUID:
    """An order whose undo was not answered within its budget."""
    order_id = an_order()
    act("compensate", order_id)
    with transaction.atomic():
        services.ask_undo_again(order_ids=[order_id], now=timezone.now() + timedelta(days=1))
    return order_id


def test_compensate_tells_the_result_of_each_order() -> None:
    running, confirmed, unknown = an_order(), a_confirmed_order(), uuid4()
    done = an_order(coupon=False)
    act("compensate", done)
    deliver(stock_restored(done))
    results = {UUID(*result.target): (result.outcome, result.detail) for result in act("compensate", *[
        confirmed, unknown, running, done, running
    ])}  # fmt: skip
    assert results == {
        running: ("done", "RUNNING → COMPENSATING"),
        confirmed: ("done", "COMPLETED → COMPENSATING"),
        done: ("unchanged", "the saga is already COMPENSATED"),
        unknown: ("unknown", "this order does not exist"),
    }
    assert shape(confirmed)[0] == "CANCELED"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("reason", ["", "  \n"])
def test_no_verb_works_without_a_reason(verb: str, reason: str) -> None:
    order_id = an_order()
    with pytest.raises(ReasonMissing):
        act(verb, order_id, reason=reason)
    assert not OperatorAction.objects.exists()
    assert shape(order_id)[0] == "PENDING"


def test_every_action_is_a_row_with_actor_reason_targets_and_results() -> None:
    order_id = an_order()
    act("compensate", order_id, reason="asked by phone")
    action = OperatorAction.objects.get()
    assert (action.actor, action.verb, action.reason) == ("kim", "compensate", "asked by phone")
    assert action.targets == [str(order_id)]
    assert action.results == [{"order_id": str(order_id), "outcome": "done", "detail": "RUNNING → COMPENSATING"}]
    notes = SagaHistory.objects.filter(saga_id=order_id, actor="operator:kim").values_list("note", flat=True)
    assert set(notes) == {"asked by phone"}


def test_compensating_twice_asks_for_the_undo_once() -> None:
    order_id = an_order()
    act("compensate", order_id)
    act("compensate", order_id)
    assert len(published(OrderCanceled)) == 1
    assert OperatorAction.objects.count() == 2


def test_a_request_sent_again_is_the_same_event_caused_by_the_first() -> None:
    order_id = an_order()
    (event,), first = published(OrderCreated), OutboxRow.objects.get()
    forget_published()
    assert act("request again", order_id)[0].outcome == "done"
    assert published(OrderCreated) == [event]
    again = OutboxRow.objects.get()
    assert (again.causation_id, again.event_id != first.event_id) == (first.event_id, True)
    assert shape(order_id) == ("PENDING", "RUNNING", {"stock": "PENDING", "coupon": "PENDING"})


@pytest.mark.parametrize("order", [a_confirmed_order, a_stuck_order])
def test_a_request_is_not_sent_again_when_nothing_waits_for_it(order: object) -> None:
    order_id = order()  # type: ignore[operator]
    before = len(published())
    assert act("request again", order_id)[0].outcome == "refused"
    assert len(published()) == before


def test_only_a_stuck_saga_is_resolved_by_hand() -> None:
    stuck, running = a_stuck_order(), an_order()
    results = act("resolve by hand", stuck, running)
    assert [result.outcome for result in results] == ["done", "refused"]
    assert shape(stuck) == ("CANCELED", "BY_HAND", {"stock": "WAIVED", "coupon": "WAIVED"})
    assert shape(running)[1] == "RUNNING"


def test_late_answers_turn_a_saga_resolved_by_hand_into_a_compensated_one() -> None:
    order_id = a_stuck_order()
    act("resolve by hand", order_id)
    deliver(stock_restored(order_id))
    assert shape(order_id) == ("CANCELED", "BY_HAND", {"stock": "UNDONE", "coupon": "WAIVED"})
    deliver(coupon_restored(order_id))
    assert shape(order_id)[1] == "COMPENSATED"
