"""The saga's invariants that the product service alone can break, under any sequence of events in any batches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.models import OutboxRow
from product_app import services
from product_app.domain import Request
from product_app.models import Product, StockAdjustment, StockDecision, StockHold
from product_app.selectors import list_unbalanced_products
from saga.participant import Incoming

pytestmark = pytest.mark.django_db

PRODUCTS = [UUID(int=number) for number in (1, 2, 3)]
UNKNOWN = UUID(int=9)
STOCK = dict(zip(PRODUCTS, (1, 2, 5), strict=True))
ROWS = ("decisions", "held", "stock")
ORDERS = [UUID(int=number) for number in (101, 102, 103, 104)]

# An edited dead letter may ask for other lines than the first time, so each event draws its own.
lines = st.lists(st.tuples(st.sampled_from([*PRODUCTS, UNKNOWN]), st.integers(1, 3)), min_size=1, max_size=3).map(tuple)
created = st.builds(Request, st.just(Incoming.CREATED), st.sampled_from(ORDERS), lines)
others = st.builds(Request, st.sampled_from([Incoming.EXHAUSTED, Incoming.CANCELED]), st.sampled_from(ORDERS))
histories = st.lists(st.one_of(created, created, others), max_size=25)
# Where a history is cut into batches.
cuts = st.sets(st.integers(0, 25))


def run(batches: Sequence[Sequence[Request]]) -> dict[str, Any]:
    """Handle the batches on a database of their own; return every row and answer that came of it."""
    with transaction.atomic():
        for product_id, quantity in STOCK.items():
            Product.objects.create(id=product_id, name="Tea", price=1, currency="KRW", quantity=quantity)
            StockAdjustment.objects.create(product_id=product_id, delta=quantity, reason="delivery", actor="test")
        for batch in batches:
            services.answer_order_events(requests=[(request, None) for request in batch])
            assert list_unbalanced_products() == []
        outcome = _outcome()
        transaction.set_rollback(True)
    return outcome


def _outcome() -> dict[str, Any]:
    rows = OutboxRow.objects.filter(topic="product.events").order_by("id")
    return {
        "answers": [(UUID(row.key), row.type.split(".")[1], json.loads(bytes(row.data))) for row in rows],
        "decisions": set(StockDecision.objects.values_list("order_id", "decision", "reason", "detail")),
        "held": Counter(
            {
                (hold.decision_id, hold.product_id, hold.restored_at is None): hold.quantity
                for hold in StockHold.objects.all()
            }
        ),
        "stock": dict(Product.objects.values_list("id", "quantity")),
    }


def batched(history: Sequence[Request], at: set[int]) -> list[Sequence[Request]]:
    edges = [0, *sorted(cut for cut in at if 0 < cut < len(history)), len(history)]
    return [history[start:end] for start, end in zip(edges, edges[1:], strict=False) if start < end]


def slowly(examples: int) -> Any:
    """A database behind each example: no deadline, and the fixture is left clean by run()."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@slowly(100)
@given(histories, cuts)
def test_batches_of_any_size_do_what_one_by_one_does(history: list[Request], at: set[int]) -> None:
    assert run(batched(history, at)) == run([[request] for request in history])


@slowly(100)
@given(histories, cuts)
def test_an_order_is_never_told_two_things_that_contradict(history: list[Request], at: set[int]) -> None:
    outcome = run(batched(history, at))

    assert len(outcome["answers"]) == len(history)
    for order in ORDERS:
        said = [(event, data) for key, event, data in outcome["answers"] if key == order]
        reasons = {data["reason"] for event, data in said if event == "StockReduceFailed"}
        assert "StockReduced" not in dict(said) or reasons <= {"order_canceled"}
        assert len({data["restored"] for event, data in said if event == "StockRestored"}) <= 1
        assert len({json.dumps(data) for event, data in said if event == "StockReduced"}) <= 1


@slowly(100)
@given(histories, cuts)
def test_every_cancel_is_answered_and_nothing_stays_held_after_it(history: list[Request], at: set[int]) -> None:
    outcome = run(batched(history, at))

    cancels = Counter(request.order_id for request in history if request.incoming is Incoming.CANCELED)
    restored = Counter(key for key, event, _ in outcome["answers"] if event == "StockRestored")
    held = {order for order, decision, *_ in outcome["decisions"] if decision == "HELD"}
    assert restored == cancels
    assert not held & set(cancels)
    assert {order for order, _, is_open in outcome["held"] if is_open} == held


@slowly(100)
@given(histories, cuts)
def test_stock_is_taken_once_at_most_and_never_given_back_beyond_that(history: list[Request], at: set[int]) -> None:
    outcome = run(batched(history, at))

    for product_id, received in STOCK.items():
        held = sum(number for (_, of, is_open), number in outcome["held"].items() if of == product_id and is_open)
        assert 0 <= outcome["stock"][product_id] == received - held
    taken_lines = {key: data["lines"] for key, event, data in outcome["answers"] if event == "StockReduced"}
    taken = {order: {} for order, *_ in outcome["held"]}
    for (order, product_id, _), quantity in outcome["held"].items():
        taken[order][str(product_id)] = quantity
    assert taken == {
        order: {line["product_id"]: line["quantity"] for line in lines} for order, lines in taken_lines.items()
    }


@slowly(50)
@given(histories, cuts)
def test_a_replay_of_everything_changes_no_row(history: list[Request], at: set[int]) -> None:
    once, twice = run(batched(history, at)), run([*batched(history, at), history])

    assert [once[rows] for rows in ROWS] == [twice[rows] for rows in ROWS]
