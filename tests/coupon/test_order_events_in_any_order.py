"""Whatever comes in whatever order and batches: the invariants of the saga's participants hold.

They are 4 to 6 of `docs/explanation/saga.md`, "Invariants".
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.order import OrderCreated
from coupon_app.models import Coupon, CouponDecision
from saga.participant import Decision
from tests.coupon.given import a_campaign, a_coupon, canceled, created, exhaust, handle, words

pytestmark = pytest.mark.django_db

COUPONS, ORDERS = 2, 5
on_the_database = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Step(NamedTuple):
    """Something that happens to the order of this number; `joins` says that it shares a batch with the one before."""

    order: int
    what: str
    joins: bool


steps = st.lists(
    st.builds(
        Step,
        order=st.integers(0, ORDERS - 1),
        what=st.sampled_from(["created", "created", "canceled", "exhausted"]),
        joins=st.booleans(),
    ),
    max_size=25,
)
#: Which coupon each order names (the number COUPONS is one that nobody has), and whether it is its owner's.
wishes = st.lists(
    st.tuples(st.integers(0, COUPONS), st.sampled_from([True, True, True, False])), min_size=ORDERS, max_size=ORDERS
)


class World:
    """Some coupons and orders that want them."""

    def __init__(self, wishes: list[tuple[int, bool]]) -> None:
        campaign = a_campaign()
        self.coupons = [a_coupon(campaign).id for _ in range(COUPONS)]
        named = [*self.coupons, uuid4()]
        self.orders = [created(named[coupon], **({} if own else {"user_id": uuid4()})) for coupon, own in wishes]
        self.asked: Counter[UUID] = Counter()
        self.undone: Counter[UUID] = Counter()

    def run(self, batch: list[Step]) -> None:
        for step in batch:
            order = self.orders[step.order]
            self.asked[order.order_id] += 1
            self.undone[order.order_id] += step.what == "canceled"
        if [step.what for step in batch] == ["exhausted"]:
            exhaust(self.orders[batch[0].order])
        else:
            handle(*[self._event(step) for step in batch])

    def _event(self, step: Step) -> object:
        order = self.orders[step.order]
        return canceled(order) if step.what == "canceled" else order

    def answers_of_all(self) -> list[list[str]]:
        return [words(order.order_id) for order in self.orders]

    def holders(self) -> list[int | None]:
        ids = [order.order_id for order in self.orders]
        rows = {coupon.id: coupon.order_id for coupon in Coupon.objects.filter(id__in=self.coupons)}
        return [ids.index(rows[coupon]) if rows[coupon] else None for coupon in self.coupons]

    def decisions(self) -> list[tuple[object, ...] | None]:
        columns = ("decision", "reason", "discount", "currency")
        rows = {row.pop("order_id"): tuple(row.values()) for row in CouponDecision.objects.values("order_id", *columns)}
        return [rows.get(order.order_id) for order in self.orders]

    def check(self) -> None:
        for order in self.orders:
            self._check_answers(order, words(order.order_id))
        self._check_coupons()

    def _check_answers(self, order: OrderCreated, said: list[str]) -> None:
        refusals = set(said) - {"used", "restored", "nothing restored", "order_canceled"}
        assert not ("used" in said and refusals), "success and failure for one order"
        assert len(refusals) <= 1, "two reasons for one order"
        assert not ({"restored", "nothing restored"} <= set(said)), "restored both true and false"
        assert len(said) == self.asked[order.order_id], "an event was not answered"
        undone = sum(word in ("restored", "nothing restored") for word in said)
        assert undone == self.undone[order.order_id], "an OrderCanceled was not answered"

    def _check_coupons(self) -> None:
        ids = [order.order_id for order in self.orders]
        live = CouponDecision.objects.filter(order_id__in=ids, decision=Decision.HELD)
        held = {row.coupon_id: row.order_id for row in live}
        assert len(held) == live.count(), "two live orders use one coupon"
        used = {coupon.id: coupon.order_id for coupon in Coupon.objects.filter(id__in=self.coupons, status="USED")}
        assert held == used, "coupons used are not those of the live orders"


def batches_of(steps: list[Step]) -> list[list[Step]]:
    """Cut the steps where one does not join; an exhausted one is always alone, as the consumer handles it."""
    batches: list[list[Step]] = []
    for step in steps:
        alone = step.what == "exhausted" or (batches and batches[-1][0].what == "exhausted")
        if not batches or alone or not step.joins:
            batches.append([step])
        else:
            batches[-1].append(step)
    return batches


@on_the_database
@given(wishes=wishes, steps=steps)
def test_the_invariants_hold_after_every_event(wishes, steps):
    with transaction.atomic():
        world = World(wishes)
        for step in steps:
            world.run([step])
            world.check()


@on_the_database
@given(wishes=wishes, steps=steps)
def test_batches_of_any_cut_do_what_single_events_do(wishes, steps):
    with transaction.atomic():
        singly, batched = World(wishes), World(wishes)
        for step in steps:
            singly.run([step])
        for batch in batches_of(steps):
            batched.run(batch)
            batched.check()
        assert batched.answers_of_all() == singly.answers_of_all()
        assert batched.holders() == singly.holders()
        assert batched.decisions() == singly.decisions()


@on_the_database
@given(wishes=wishes, steps=steps, again=st.randoms(use_true_random=False))
def test_replaying_everything_in_any_order_changes_no_row(wishes, steps, again):
    with transaction.atomic():
        world = World(wishes)
        for batch in batches_of(steps):
            world.run(batch)
        before = world.holders(), world.decisions()
        replayed = [step for step in steps if step.what != "exhausted"]
        again.shuffle(replayed)
        world.run(replayed)
        world.check()
        assert (world.holders(), world.decisions()) == before
