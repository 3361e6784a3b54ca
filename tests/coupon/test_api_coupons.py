"""Coupons and staff's grants over HTTP."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from coupon_app.models import Coupon
from coupon_app.selectors import list_coupons
from tests.coupon.callers import COUPONS, caller, code
from tests.coupon.given import USER, a_campaign, a_coupon, canceled, created, handle, valid_now

pytestmark = pytest.mark.django_db


def test_staff_grants_a_coupon_which_its_owner_sees(user, staff):
    campaign = a_campaign()
    granted = staff.post(COUPONS, {"campaign_id": campaign.id, "user_id": USER})
    assert granted.status_code == 201
    (mine,) = user.get(COUPONS).json()["results"]
    assert mine == granted.json()
    assert (mine["campaign_id"], mine["user_id"], mine["order_id"]) == (str(campaign.id), str(USER), None)
    assert caller(uuid4()).get(COUPONS).json()["count"] == 0


def test_a_coupon_is_available_used_or_expired(user):
    free, used = (a_coupon(valid_now()) for _ in range(2))
    ended = a_coupon(a_campaign())
    handle(created(used.id))
    shown = {each["id"]: (each["status"], each["order_id"]) for each in user.get(COUPONS).json()["results"]}
    assert shown[str(free.id)] == ("AVAILABLE", None)
    assert shown[str(used.id)] == ("USED", str(Coupon.objects.get(id=used.id).order_id))
    assert shown[str(ended.id)] == ("EXPIRED", None)


def test_a_coupon_ends_at_the_very_moment_of_valid_until():
    coupon = a_coupon(campaign := a_campaign())
    end, just_before = campaign.valid_until, campaign.valid_until - timedelta(microseconds=1)
    states = [list_coupons(user_id=USER, now=now).get(id=coupon.id).state for now in (just_before, end)]
    assert states == ["AVAILABLE", "EXPIRED"]


def test_a_coupon_given_back_after_its_end_is_expired(user):
    coupon = a_coupon(a_campaign())
    handle(order := created(coupon.id))
    assert user.get(COUPONS).json()["results"][0]["status"] == "USED"
    handle(canceled(order))
    assert user.get(COUPONS).json()["results"][0]["status"] == "EXPIRED"


def test_coupons_are_filtered_by_status_and_campaign(user):
    campaign = valid_now()
    a_coupon(campaign), a_coupon(a_campaign())
    assert user.get(COUPONS, {"status": "EXPIRED"}).json()["count"] == 1
    assert user.get(COUPONS, {"status": "AVAILABLE", "campaign_id": campaign.id}).json()["count"] == 1
    assert user.get(COUPONS, {"status": "LOST"}).status_code == 400
    assert user.get(COUPONS, {"campaign_id": "x"}).status_code == 400


def test_a_grant_that_cannot_be_says_why(staff):
    campaign = a_campaign(quantity=2, per_user_limit=1)
    wish = {"campaign_id": campaign.id, "user_id": USER}
    assert staff.post(COUPONS, wish).status_code == 201
    assert code(staff.post(COUPONS, wish)) == (409, "limit_reached")
    assert staff.post(COUPONS, {**wish, "user_id": uuid4()}).status_code == 201
    assert code(staff.post(COUPONS, {**wish, "user_id": uuid4()})) == (409, "sold_out")
    assert code(staff.post(COUPONS, {**wish, "campaign_id": uuid4()})) == (422, "unknown_campaign")
    assert code(staff.post(COUPONS, {**wish, "campaign_id": "x"})) == (400, "validation_failed")
    assert code(staff.post(COUPONS, {})) == (400, "validation_failed")


def test_a_grant_sent_twice_with_one_key_grants_once(staff):
    campaign = a_campaign()
    wish, key = {"campaign_id": str(campaign.id), "user_id": str(USER)}, {"Idempotency-Key": "k1"}
    first, again = staff.post(COUPONS, wish, headers=key), staff.post(COUPONS, wish, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert code(staff.post(COUPONS, {**wish, "user_id": str(uuid4())}, headers=key)) == (422, "idempotency_key_reused")
    assert code(staff.post(COUPONS, {**wish, "reason": "again"}, headers=key)) == (422, "idempotency_key_reused")
    assert Coupon.objects.count() == 1


@pytest.mark.parametrize("key", ["k" * 256, "a\x00b"])
def test_an_idempotency_key_that_cannot_be_kept_is_refused(staff, key):
    wish = {"campaign_id": str(a_campaign().id), "user_id": str(USER)}
    assert code(staff.post(COUPONS, wish, headers={"Idempotency-Key": key})) == (400, "idempotency_key_invalid")
    assert not Coupon.objects.exists()
