"""Claims over HTTP."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from contracts.coupon import CouponClaimRequested
from contracts.user import UserChanged
from coupon_app import services
from coupon_app.models import Claim
from messaging.testing import published
from tests.coupon.callers import CAMPAIGNS, COUPONS, code
from tests.coupon.given import USER, a_campaign, a_claim, decide, valid_now

pytestmark = pytest.mark.django_db


def test_a_claim_is_taken_at_once_and_decided_by_the_log(user):
    campaign = valid_now()

    taken = user.post(f"{CAMPAIGNS}/{campaign.id}/claims")

    assert taken.status_code == 202
    claim = taken.json()
    assert (claim["status"], claim["coupon_id"], claim["campaign_id"]) == ("PENDING", None, str(campaign.id))
    expected = CouponClaimRequested(claim_id=UUID(claim["id"]), campaign_id=campaign.id, user_id=USER)
    assert published() == [expected]

    assert user.get(taken.headers["Location"]).json() == claim
    decide(published(CouponClaimRequested))
    polled = user.get(taken.headers["Location"]).json()
    assert polled["status"] == "GRANTED"
    assert user.get(COUPONS).json()["results"][0]["id"] == polled["coupon_id"]


def test_taking_a_claim_reads_the_campaign_and_writes_only_the_claim_and_its_event(user, django_assert_num_queries):
    campaign = valid_now()
    with django_assert_num_queries(4 + 2) as queries:  # the user's lock; campaign and user; claim, outbox; savepoint
        user.post(f"{CAMPAIGNS}/{campaign.id}/claims")
    assert not [each for each in queries.captured_queries if "FOR UPDATE" in each["sql"] or "UPDATE" in each["sql"][:6]]


def test_another_users_claim_is_not_found(user):
    claim = a_claim(a_campaign(), user_id=uuid4())
    assert code(user.get(f"/api/v1/claims/{claim.claim_id}")) == (404, "not_found")
    assert code(user.get(f"/api/v1/claims/{uuid4()}")) == (404, "not_found")


def test_a_claim_of_an_unknown_campaign_is_not_found_and_leaves_nothing(user):
    assert code(user.post(f"{CAMPAIGNS}/{uuid4()}/claims")) == (404, "not_found")
    assert user.post(f"{CAMPAIGNS}/x/claims").status_code == 404
    assert not Claim.objects.exists()
    assert not published()


def test_a_deactivated_user_claims_nothing(user):
    services.keep_users(events=[UserChanged(user_id=USER, version=2, active=False)])
    assert code(user.post(f"{CAMPAIGNS}/{a_campaign().id}/claims")) == (403, "user_inactive")
