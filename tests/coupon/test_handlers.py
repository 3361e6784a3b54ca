"""The handlers, through the inbox as the consumer calls them."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from contracts.coupon import CouponClaimRequested, CouponRestored, CouponUsed, CouponUseFailed
from contracts.user import UserChanged
from coupon_app import services, sql
from coupon_app.models import Claim, Coupon, CouponDecision, UserCopy
from messaging.consumer.retry_parked import retry_due
from messaging.models import DeadLetterRow, InboxRow
from messaging.operations.actions import retry
from messaging.testing import assert_same_however_delivered, deliver, published, states_in_every_order
from tests.coupon.given import USER, a_campaign, a_claim, a_coupon, canceled, created, valid_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("singly", [False, True])
def test_an_order_uses_its_coupon_and_gives_it_back(singly):
    coupon = a_coupon(valid_now())
    order = created(coupon.id)
    deliver(order, canceled(order), singly=singly)
    used = CouponUsed(order_id=order.order_id, coupon_id=coupon.id, discount=Decimal(1000))
    assert published() == [used, CouponRestored(order_id=order.order_id, restored=True)]


def ledger():
    """Return the coupons and what was decided about them."""
    coupons = Coupon.objects.order_by("id").values_list("id", "status", "order_id")
    return list(coupons), list(
        CouponDecision.objects.order_by("order_id").values_list("order_id", "decision", "reason")
    )


def test_orders_end_the_same_however_they_are_delivered():
    coupon = a_coupon(valid_now())
    first, second = sorted((created(coupon.id), created(coupon.id)), key=lambda order: str(order.order_id))

    assert_same_however_delivered(first, second, canceled(first), snapshot=ledger)

    assert [decision for _, decision, _ in ledger()[1]] == ["RESTORED", "REFUSED"]


def test_a_canceled_order_uses_no_coupon_in_whichever_order_its_events_come():
    order = created(a_coupon(valid_now()).id)

    ends = states_in_every_order(order, order, canceled(order), snapshot=ledger)

    assert {coupons[0][1:] for coupons, _ in ends.values()} == {("AVAILABLE", None)}
    assert {decisions[0][1] for _, decisions in ends.values()} == {"RESTORED", "CANCELED_FIRST"}


def test_claims_are_granted_once_however_they_are_delivered():
    campaign = a_campaign(quantity=2)
    claims = [a_claim(campaign) for _ in range(3)]

    def statuses():
        return sorted(Claim.objects.values_list("status", flat=True)), Coupon.objects.count()

    assert_same_however_delivered(*claims, group="coupon-claims", snapshot=statuses)

    assert statuses() == (["GRANTED", "GRANTED", "SOLD_OUT"], 2)


def test_a_request_sent_again_under_a_new_id_is_answered_again():
    order = created(a_coupon().id)
    deliver(order)
    deliver(order)
    assert len(published(CouponUsed)) == 2


def test_when_every_attempt_failed_the_order_is_refused_in_the_same_transaction(monkeypatch):
    order = created(a_coupon().id)
    monkeypatch.setattr(sql, "lock_coupons", _fails_until_exhausted(sql.lock_coupons, times=3))
    deliver(order, singly=True)
    (failed,) = published(CouponUseFailed)
    assert (failed.order_id, failed.reason) == (order.order_id, "retries_exhausted")
    assert InboxRow.objects.get().state == "exhausted"


def _fails_until_exhausted(function, *, times):
    calls = []

    def wrapped(ids):
        calls.append(ids)
        if len(calls) <= times:
            raise RuntimeError("a bug")
        return function(ids)

    return wrapped


def test_a_cancel_that_keeps_failing_is_not_skipped(monkeypatch):
    coupon = a_coupon(valid_now())
    order = created(coupon.id)
    deliver(order)
    monkeypatch.setattr(sql, "lock_coupons", _fails_until_exhausted(sql.lock_coupons, times=3))
    deliver(canceled(order), singly=True)
    assert not published(CouponRestored)
    letter = DeadLetterRow.objects.get()
    # Once the cause is gone, the operator's retry gives the coupon back
    retry([(letter.event_id, letter.handler)], actor="me", reason="fixed")
    assert retry_due() == 1
    assert published(CouponRestored) == [CouponRestored(order_id=order.order_id, restored=True)]


def test_an_order_that_is_known_already_costs_no_write():
    order = created(a_coupon().id)
    deliver(order)
    with CaptureQueriesContext(connection) as asked:
        deliver(order)
    assert not [query["sql"] for query in asked if "UPDATE coupon_app" in query["sql"]]
    assert len(published(CouponUsed)) == 2


def test_an_outage_answers_nothing_and_leaves_nothing(monkeypatch):
    def down(ids):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(sql, "lock_coupons", down)
    with pytest.raises(OperationalError):
        deliver(created(a_coupon().id), singly=True)
    assert not published()
    assert not InboxRow.objects.exists()


@pytest.mark.parametrize("singly", [False, True])
def test_claims_are_decided_in_the_order_of_the_log_by_the_group_of_their_own(singly):
    campaign = a_campaign(quantity=2)
    claims = [a_claim(campaign) for _ in range(3)]
    deliver(*claims, singly=singly)  # the first group does not take them
    assert Claim.objects.filter(status="PENDING").count() == 3

    deliver(*claims, group="coupon-claims", singly=singly)

    statuses = dict(Claim.objects.values_list("id", "status"))
    assert [statuses[claim.claim_id] for claim in claims] == ["GRANTED", "GRANTED", "SOLD_OUT"]


@pytest.mark.parametrize("singly", [False, True])
def test_a_claim_that_nobody_made_becomes_a_dead_letter(singly):
    foreign = CouponClaimRequested(claim_id=uuid4(), campaign_id=a_campaign().id, user_id=USER)
    deliver(foreign, group="coupon-claims", singly=singly)
    assert DeadLetterRow.objects.get().reason == "unknown_claim"


def test_users_are_copied():
    deliver(UserChanged(user_id=USER, version=1, active=True), UserChanged(user_id=USER, version=2, active=False))
    assert UserCopy.objects.get().active is False
    assert services.selectors.is_active(uuid4())
