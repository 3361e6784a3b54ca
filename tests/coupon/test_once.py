"""Campaigns, grants and claims are made once; a claim that is certain to fail is answered at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from contracts.coupon import CouponClaimRequested
from coupon_app import services, tasks
from coupon_app.campaigns import Grant
from coupon_app.models import Campaign, Claim, Coupon, IdempotencyKey
from messaging.testing import published
from tests.coupon.callers import CAMPAIGNS, COUPONS, caller
from tests.coupon.given import NOW, USER, a_campaign, a_coupon, decide
from tests.coupon.test_api_campaigns import offer
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)
KEY = {"Idempotency-Key": "k"}


def a_campaign_today(**changes: Any) -> Campaign:
    """Create a campaign that is valid by the clock."""
    return a_campaign(valid_until=timezone.now() + timedelta(days=1), **changes)


def claim(user: APIClient, campaign: Campaign, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Claim a coupon, and return the claim."""
    answer = user.post(f"{CAMPAIGNS}/{campaign.id}/claims", headers=headers or {})
    assert answer.status_code == 202, answer.json()
    found: dict[str, Any] = answer.json()
    return found


def at_once(*work: Callable[[], Any]) -> list[Any]:
    """Run these in threads that start together; return what they return."""
    barrier = Barrier(len(work))

    def run(each: Callable[[], Any]) -> Any:
        try:
            barrier.wait()
            return each()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


def test_a_campaign_sent_twice_with_one_key_is_made_once(staff: APIClient) -> None:
    first, again = (staff.post(CAMPAIGNS, offer(), headers=KEY) for _ in range(2))

    assert (again.status_code, again.json(), again["Location"]) == (201, first.json(), first["Location"])
    assert (Campaign.objects.count(), again["Idempotent-Replayed"]) == (1, "true")


def test_one_key_for_two_campaigns_at_once_is_a_201_and_a_422(staff: APIClient) -> None:
    campaigns = [a_campaign() for _ in range(2)]

    def grant(campaign: Campaign, key: str) -> Callable[[], int]:
        body = {"campaign_id": campaign.id, "user_id": USER}
        return lambda: staff.post(COUPONS, body, headers={"Idempotency-Key": key}).status_code

    for key in map(str, range(10)):
        assert sorted(at_once(*(grant(each, key) for each in campaigns))) == [201, 422]


def test_one_coupon_id_for_two_campaigns_at_once_is_refused_and_no_fault() -> None:
    one, other = a_campaign(), a_campaign()
    granted = Event()
    wish = Grant(uuid4(), one.id, USER, granted_by="admin", reason="")

    def first() -> str:
        with transaction.atomic():
            services.grant_coupon(grant=wish, now=NOW)
            granted.set()
            # The other one looks for the coupon, does not see it, and waits for this transaction.
            eventually(_somebody_waits)
        return "granted"

    def second() -> str:
        granted.wait(10)
        try:
            with transaction.atomic():
                services.grant_coupon(grant=wish._replace(campaign_id=other.id), now=NOW)
        except services.GrantIdReused:
            return "refused"
        return "granted"

    assert at_once(first, second) == ["granted", "refused"]
    assert (Coupon.objects.get().campaign_id, Campaign.objects.get(id=other.id).granted) == (one.id, 0)


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # otherwise a transaction sees the sessions of its first look
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool(cursor.fetchone()[0])


def test_a_claim_sent_twice_with_one_key_is_one_claim(user: APIClient) -> None:
    campaign = a_campaign_today()
    first = claim(user, campaign, KEY)
    decide(published(CouponClaimRequested))

    assert claim(user, campaign, KEY) == first
    assert Claim.objects.count() == 1


def test_an_open_claim_whose_event_is_lost_locks_its_user_out_for_an_hour_at_most(user: APIClient) -> None:
    campaign = a_campaign_today()
    first = claim(user, campaign)
    Claim.objects.update(requested_at=timezone.now() - timedelta(minutes=59))
    assert claim(user, campaign) == {**first, "requested_at": claim(user, campaign)["requested_at"]}
    Claim.objects.update(requested_at=timezone.now() - timedelta(minutes=61))
    assert claim(user, campaign)["id"] != first["id"]


def test_while_a_claim_is_open_another_one_is_the_same(user: APIClient) -> None:
    campaign = a_campaign_today(per_user_limit=2)
    first = claim(user, campaign)

    assert claim(user, campaign) == first
    decide(published(CouponClaimRequested))
    assert claim(user, campaign)["id"] != first["id"], "the limit is two"
    assert claim(caller(uuid4()), campaign)["id"] != first["id"]
    assert claim(user, a_campaign_today())["id"] != first["id"]


def test_claims_at_the_same_moment_are_one_claim(user: APIClient) -> None:
    campaign = a_campaign_today()

    ids = {each["id"] for each in at_once(*[lambda: claim(user, campaign)] * 4)}

    assert len(ids) == Claim.objects.count() == len(published(CouponClaimRequested)) == 1


def sold_out() -> Campaign:
    campaign = a_campaign_today(quantity=1)
    a_coupon(campaign, user_id=uuid4())
    return campaign


def limit_reached() -> Campaign:
    campaign = a_campaign_today(per_user_limit=1)
    a_coupon(campaign)
    return campaign


@pytest.mark.parametrize(
    ("campaign", "status"),
    [
        (sold_out, "SOLD_OUT"),
        (limit_reached, "LIMIT_REACHED"),
        (a_campaign, "NOT_ACTIVE"),
        (lambda: a_campaign_today(valid_from=timezone.now() + timedelta(hours=1)), "NOT_ACTIVE"),
    ],
    ids=["sold out", "limit reached", "ended", "not begun"],
)
def test_a_claim_that_is_certain_to_fail_is_answered_at_once(
    user: APIClient, campaign: Callable[[], Campaign], status: str
) -> None:
    offered = campaign()
    taken = claim(user, offered)

    assert (taken["status"], taken["decided_at"]) == (status, taken["requested_at"])
    assert user.get(f"/api/v1/claims/{taken['id']}").json() == taken
    assert published(CouponClaimRequested) == []
    assert claim(user, offered) == taken, "a second one is the same claim"


def test_keys_leave_after_their_time() -> None:
    for hours in (100, 1):
        at = timezone.now() - timedelta(hours=hours)
        IdempotencyKey.objects.create(user_id=uuid4(), key="k", body_hash="x", created_at=at)

    assert (tasks.clean_up(), IdempotencyKey.objects.count()) == (1, 1)
