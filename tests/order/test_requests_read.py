"""The deadline waits for a participant that lives and whose workers are not given the order's request."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from messaging import Reading
from messaging.testing import deliver
from order_app import services
from order_app.models import Saga
from tests.order.given import reduced
from tests.order.test_timers import END, LATE, late_order, timing

__all__ = ["late_order", "timing"]

pytestmark = pytest.mark.django_db(transaction=True)


def sweep(order_id: UUID, readings: dict[str, Reading], after: timedelta = LATE) -> int:
    """Run the deadline's sweep over one order, after this time."""
    with transaction.atomic():
        now = timezone.now() + after
        return services.cancel_overdue(order_ids=[order_id], end_offsets=END, readings=readings, now=now)


def reading(*, alive: bool = True, unassigned: tuple[int, ...] = (0,), offset: int = 4) -> Reading:
    """How a participant reads order.events, which has one partition and ends at 5."""
    return Reading(alive=alive, unassigned=frozenset(unassigned), foreign=(), offsets={0: offset}, ends={0: 5})


@pytest.mark.parametrize("group", ["product", "coupon"])
def test_a_request_that_no_worker_of_a_participant_is_given_is_not_canceled(late_order: UUID, group: str) -> None:
    assert sweep(late_order, {group: reading()}) == 0
    assert Saga.objects.get().guard_offsets == {"product.events/0": 7, "coupon.events/0": 3, "order.events/0": 5}
    # When it is given to one, it is still to be read
    assert sweep(late_order, {group: reading(unassigned=())}) == 0
    # When it has been read, the participant gets the time of a deadline to answer
    assert sweep(late_order, {group: reading(unassigned=(), offset=5)}) == 0
    saga = Saga.objects.get()
    assert (saga.deadline > timezone.now() + LATE, saga.guard_offsets) == (True, None)
    # And when no answer came in that time, the deadline cancels as ever
    assert sweep(late_order, {group: reading(unassigned=(), offset=5)}, after=2 * LATE) == 1


@pytest.mark.parametrize(
    "readings",
    [
        {"product": reading(alive=False)},
        {"product": reading(unassigned=())},
        {"product": reading(offset=5)},
        {"user": reading()},
        {},
    ],
    ids=["no worker lives", "a worker has it", "it was read", "no participant", "Kafka does not say"],
)
def test_a_participant_that_was_asked_or_that_is_down_is_not_waited_for(
    late_order: UUID, readings: dict[str, Reading]
) -> None:
    assert sweep(late_order, readings) == 1


def test_a_participant_that_stops_after_it_was_starved_gets_one_more_deadline(late_order: UUID) -> None:
    assert sweep(late_order, {"product": reading()}) == 0
    # Its only worker restarts
    assert sweep(late_order, {"product": reading(alive=False)}) == 0
    assert Saga.objects.get().guard_offsets is None
    assert sweep(late_order, {"product": reading(alive=False)}, after=2 * LATE) == 1


def test_a_log_that_was_made_again_ends_the_hold(late_order: UUID) -> None:
    assert sweep(late_order, {"product": reading()}) == 0
    again = Reading(alive=True, unassigned=frozenset(), foreign=(), offsets={0: 2}, ends={0: 2})
    assert sweep(late_order, {"product": again}) == 0
    assert sweep(late_order, {"product": again}, after=2 * LATE) == 1


def test_a_group_that_shares_its_partitions_out_holds_an_order_for_that_sweep_alone(late_order: UUID) -> None:
    rebalancing = replace(reading(unassigned=()), is_stable=False)
    assert sweep(late_order, {"product": rebalancing}) == 0
    assert Saga.objects.get().guard_offsets == {"product.events/0": 7, "coupon.events/0": 3}
    assert sweep(late_order, {"product": reading(unassigned=())}) == 1


def test_a_participant_that_has_answered_is_not_waited_for(late_order: UUID) -> None:
    deliver(reduced(late_order))
    assert sweep(late_order, {"product": reading()}) == 1
