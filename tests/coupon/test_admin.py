"""The admin: campaigns are made and granted from, everything else is only read."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from coupon_app.models import Campaign, Coupon
from tests.coupon.given import USER, a_campaign, a_claim, a_coupon, created, decide, handle

pytestmark = pytest.mark.django_db
HOME = "/admin/coupon_app"


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def offer(**changes: object) -> dict[str, object]:
    times = {
        "valid_from_0": "2026-01-01",
        "valid_from_1": "0:00",
        "valid_until_0": "2027-01-01",
        "valid_until_1": "0:00",
    }
    usual = {
        "name": "Spring",
        "kind": "percent",
        "value": "10",
        "minimum_order": "0",
        "quantity": "5",
        "per_user_limit": 1,
    }
    return {**times, **usual, **changes}


def test_a_campaign_is_made_by_the_form(operator):
    response = operator.post(f"{HOME}/campaign/add/", offer())
    assert response.status_code == 302
    campaign = Campaign.objects.get()
    assert (campaign.name, campaign.quantity, campaign.currency, campaign.granted) == ("Spring", 5, None, 0)
    assert LogEntry.objects.get().object_id == str(campaign.id)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "amount"},
        {"value": "101"},
        {"currency": "XXX"},
        {"minimum_order": "5"},
        {"valid_until_0": "2025-01-01"},
    ],
)
def test_the_form_holds_the_same_rules_as_the_api(operator, changes):
    response = operator.post(f"{HOME}/campaign/add/", offer(**changes))
    assert response.status_code == 200
    assert response.context["errors"]
    assert not Campaign.objects.exists()


def test_a_campaign_is_not_changed_once_it_exists(operator):
    campaign = a_campaign()
    assert operator.get(f"{HOME}/campaign/{campaign.id}/change/").status_code == 200
    assert operator.post(f"{HOME}/campaign/{campaign.id}/change/", offer(name="Other")).status_code == 403
    assert operator.post(f"{HOME}/campaign/{campaign.id}/delete/", {"post": "yes"}).status_code == 403


def test_a_grant_has_an_actor_and_a_reason_and_is_made_once_however_often_it_is_sent(operator):
    campaign = a_campaign()
    address = f"{HOME}/campaign/{campaign.id}/grant/"
    coupon_id = operator.get(address).context["form"]["coupon_id"].value()
    wish = {"user_id": USER, "reason": "lost parcel", "coupon_id": coupon_id}

    for _ in range(2):
        assert operator.post(address, wish).status_code == 302

    coupon = Coupon.objects.get()
    assert (str(coupon.id), coupon.user_id) == (coupon_id, USER)
    assert (coupon.granted_by, coupon.grant_reason) == ("admin olga", "lost parcel")
    assert "lost parcel" in LogEntry.objects.first().change_message


@pytest.mark.parametrize("changes", [{"user_id": "x"}, {"reason": ""}, {"coupon_id": ""}])
def test_a_grant_that_says_too_little_is_asked_again(operator, changes):
    campaign = a_campaign()
    wish = {"user_id": USER, "reason": "lost parcel", "coupon_id": uuid4(), **changes}
    assert operator.post(f"{HOME}/campaign/{campaign.id}/grant/", wish).status_code == 200
    assert not Coupon.objects.exists()


def test_a_grant_that_the_campaign_refuses_says_why(operator):
    campaign = a_campaign(quantity=1)
    a_coupon(campaign)
    wish = {"user_id": uuid4(), "reason": "lost parcel", "coupon_id": uuid4()}
    response = operator.post(f"{HOME}/campaign/{campaign.id}/grant/", wish)
    assert "SOLD_OUT" in response.content.decode()
    assert not LogEntry.objects.exists()


def test_who_may_not_grant_is_sent_away():
    campaign = a_campaign()
    client = Client()
    client.force_login(User.objects.create_user("bob", password="x", is_staff=True))
    wish = {"user_id": USER, "reason": "for me", "coupon_id": uuid4()}
    assert client.post(f"{HOME}/campaign/{campaign.id}/grant/", wish).status_code == 302
    assert Client().post(f"{HOME}/campaign/{campaign.id}/grant/", wish).status_code == 302
    assert not Coupon.objects.exists()


@pytest.fixture
def something_of_everything() -> None:
    coupon = a_coupon()
    handle(created(coupon.id), created(uuid4()))
    decide([a_claim(a_campaign())])


@pytest.mark.parametrize("model", ["campaign", "coupon", "coupondecision", "claim", "usercopy"])
@pytest.mark.parametrize("query", ["", "?q=spring", f"?q={uuid4()}", "?q=x y", f"?q={USER}"])
def test_every_list_is_shown_and_searched(operator, something_of_everything, model, query):
    response = operator.get(f"{HOME}/{model}/{query}")
    assert response.status_code == 200


@pytest.mark.parametrize("model", ["campaign", "coupon", "coupondecision", "claim", "usercopy"])
def test_a_search_for_nul_is_a_400(operator, something_of_everything, model):
    assert operator.get(f"{HOME}/{model}/?q=%00").status_code == 400


@pytest.mark.parametrize("model", ["coupon", "coupondecision", "claim", "usercopy"])
def test_ledgers_are_only_read(operator, something_of_everything, model):
    assert operator.get(f"{HOME}/{model}/add/").status_code == 403
    for coupon in Coupon.objects.all():
        address = f"{HOME}/coupon/{coupon.id}"
        assert operator.get(f"{address}/change/").status_code == 200
        assert operator.post(f"{address}/change/", {"status": "USED"}).status_code == 403
        assert operator.post(f"{address}/delete/", {"post": "yes"}).status_code == 403


def test_a_coupon_is_found_by_the_order_that_uses_it(operator):
    coupon, other = a_coupon(), a_coupon()
    order = created(coupon.id)
    handle(order)
    found = operator.get(f"{HOME}/coupon/", {"q": str(order.order_id)}).context["cl"].result_list
    assert [each.id for each in found] == [coupon.id]
    assert other.id != coupon.id
