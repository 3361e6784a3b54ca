"""Staff gives coupons; several orders want them at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from contracts.order import OrderCreated
from contracts.user import UserChanged
from coupon_app import services, sql
from coupon_app.campaigns import Grant
from coupon_app.models import Campaign, Coupon, CouponDecision, UserCopy
from tests.coupon.given import NOW, USER, a_campaign, a_coupon, canceled, created, handle, words

pytestmark = pytest.mark.django_db


def grant(campaign_id: UUID, *, user_id: UUID = USER, coupon_id: UUID | None = None) -> Coupon:
    wish = Grant(coupon_id or uuid4(), campaign_id, user_id, granted_by="staff me", reason="sorry")
    with transaction.atomic():
        return services.grant_coupon(grant=wish, now=NOW)


def test_a_grant_makes_a_coupon_with_its_actor_and_reason_and_counts():
    campaign = a_campaign(quantity=2)
    coupon = grant(campaign.id)
    campaign.refresh_from_db()
    assert (coupon.user_id, coupon.granted_by, coupon.grant_reason, coupon.granted_at) == (
        USER,
        "staff me",
        "sorry",
        NOW,
    )
    assert campaign.granted == 1


def test_no_more_than_the_quantity_is_granted():
    campaign = a_campaign(quantity=1)
    grant(campaign.id)
    with pytest.raises(services.GrantRefused) as refused:
        grant(campaign.id, user_id=uuid4())
    assert refused.value.status == "SOLD_OUT"


def test_staff_is_bound_by_the_limit_of_each_user():
    campaign = a_campaign(per_user_limit=1)
    grant(campaign.id)
    with pytest.raises(services.GrantRefused) as refused:
        grant(campaign.id)
    assert refused.value.status == "LIMIT_REACHED"


def test_the_same_grant_again_returns_the_coupon_that_it_made():
    campaign, coupon_id = a_campaign(quantity=1), uuid4()
    assert grant(campaign.id, coupon_id=coupon_id) == grant(campaign.id, coupon_id=coupon_id)
    assert Coupon.objects.count() == 1
    with pytest.raises(services.GrantIdReused):
        grant(campaign.id, coupon_id=coupon_id, user_id=uuid4())


def test_an_unknown_campaign_grants_nothing():
    with pytest.raises(services.UnknownCampaign):
        grant(uuid4())


def test_a_deactivated_user_gets_nothing():
    services.keep_users(events=[UserChanged(user_id=USER, version=2, active=False)])
    campaign = a_campaign()
    with pytest.raises(services.UserInactive):
        grant(campaign.id)
    with pytest.raises(services.UserInactive):
        services.request_claim(campaign_id=campaign.id, user_id=USER, now=NOW)


def test_the_database_itself_refuses_a_campaign_that_granted_too_many():
    campaign = a_campaign(quantity=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Campaign.objects.filter(id=campaign.id).update(granted=2)


def copy() -> tuple[int, bool]:
    user = UserCopy.objects.get(user_id=USER)
    return user.version, user.active


def test_of_several_versions_of_a_user_the_newest_stays_in_whatever_order_they_come():
    new, old = UserChanged(user_id=USER, version=3, active=False), UserChanged(user_id=USER, version=2, active=True)
    services.keep_users(events=[new, old])
    assert copy() == (3, False)
    services.keep_users(events=[old])
    assert copy() == (3, False)
    services.keep_users(events=[new, new, old])
    assert copy() == (3, False)
    services.keep_users(events=[UserChanged(user_id=USER, version=4, active=True)])
    assert copy() == (4, True)


@contextmanager
def meanwhile(order: OrderCreated) -> Iterator[Callable[[], None]]:
    """Handle the order's OrderCreated in another transaction; what is given asserts that it waits for this one."""

    def run() -> None:
        try:
            handle(order)
        finally:
            connection.close()

    def waits() -> None:
        started.append(pool.submit(run))
        with pytest.raises(TimeoutError):
            started[0].result(timeout=0.3)

    started: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            yield waits
        started[0].result(timeout=10)


@pytest.mark.django_db(transaction=True)
def test_an_event_waits_for_a_cancel_of_its_order_that_has_only_locked_the_decision_row():
    order = created(a_coupon().id)
    handle(order)
    with meanwhile(order) as it_waits:
        sql.lock_decisions({order.order_id: uuid4()}, NOW)
        it_waits()
        handle(canceled(order))
    assert words(order.order_id) == ["used", "restored", "order_canceled"]


@pytest.mark.django_db(transaction=True)
def test_an_event_waits_for_a_cancel_of_its_order_that_comes_first():
    order = created(a_coupon().id)
    with meanwhile(order) as it_waits:
        handle(canceled(order))
        it_waits()
    assert words(order.order_id) == ["nothing restored", "order_canceled"]


@pytest.mark.django_db(transaction=True)
def test_orders_that_race_for_the_same_coupons_leave_each_to_one_of_them():
    campaign = a_campaign()
    coupons = [a_coupon(campaign).id for _ in range(6)]
    batches = [[created(coupon) for coupon in (coupons if turn % 2 else reversed(coupons))] for turn in range(8)]

    def run(turn: int) -> None:
        try:
            handle(*batches[turn])
            handle(*[canceled(order) for order in batches[turn]] if turn < 4 else [])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))

    held = CouponDecision.objects.filter(decision="HELD").values_list("coupon_id", "order_id")
    used = Coupon.objects.filter(status="USED").values_list("id", "order_id")
    assert sorted(held) == sorted(used)
    assert CouponDecision.objects.count() == 48
