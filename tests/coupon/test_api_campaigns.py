"""Campaigns over HTTP, as their users see them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from coupon_app import services
from coupon_app.models import Campaign
from tests.coupon.callers import CAMPAIGNS, COUPONS, code
from tests.coupon.given import terms

pytestmark = pytest.mark.django_db


def offer(**changes: Any) -> dict[str, Any]:
    usual = {
        "name": "Spring",
        "kind": "percent",
        "value": "12.5",
        "currency": "KRW",
        "minimum_order": "1000",
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2027-01-01T00:00:00Z",
        "quantity": 10,
        "per_user_limit": 2,
    }
    return {name: value for name, value in {**usual, **changes}.items() if value != "left out"}


def test_staff_creates_a_campaign_which_all_can_see(user, staff):
    response = staff.post(CAMPAIGNS, offer())
    assert response.status_code == 201
    made = response.json()
    assert (made["value"], made["minimum_order"], made["currency"], made["granted"]) == ("12.5", "1000", "KRW", 0)
    assert user.get(response.headers["Location"]).json() == made
    assert user.get(CAMPAIGNS).json()["results"] == [made]


def test_an_amount_has_a_currency(staff):
    made = staff.post(CAMPAIGNS, offer(kind="amount", value="5000", currency="KRW"))
    assert (made.status_code, made.json()["currency"]) == (201, "KRW")
    refused = staff.post(CAMPAIGNS, offer(kind="amount", value="5000", currency="left out"))
    assert code(refused) == (422, "currency_required")


def test_a_minimum_has_a_currency(staff):
    refused = staff.post(CAMPAIGNS, offer(currency=None))
    assert code(refused) == (422, "currency_required")
    assert list(refused.json()["errors"]) == ["currency"]


def test_what_may_be_left_out_has_a_default(staff):
    made = staff.post(CAMPAIGNS, offer(minimum_order="left out", per_user_limit="left out", currency="left out"))
    assert (made.status_code, made.json()["minimum_order"], made.json()["per_user_limit"]) == (201, "0", 1)
    assert made.json()["currency"] is None


@pytest.mark.parametrize("currency", ["KRW", "USD", "KWD"])
@pytest.mark.parametrize("kind", ["percent", "amount"])
def test_a_minimum_may_be_left_out_of_a_campaign_with_a_currency(staff, kind, currency):
    made = staff.post(CAMPAIGNS, offer(kind=kind, value="5", currency=currency, minimum_order="left out"))
    assert (made.status_code, made.json()["minimum_order"]) == (201, "0")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "left out"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"kind": "gift"}, "kind"),
        ({"value": "much"}, "value"),
        ({"value": "NaN"}, "value"),
        ({"value": "Infinity"}, "value"),
        ({"value": "1e30"}, "value"),
        ({"value": None}, "value"),
        ({"value": [1]}, "value"),
        ({"minimum_order": "1.00001"}, "minimum_order"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 2**31}, "quantity"),
        ({"quantity": "1.5"}, "quantity"),
        ({"per_user_limit": 0}, "per_user_limit"),
        ({"currency": "EURO"}, "currency"),
        ({"valid_from": "tomorrow"}, "valid_from"),
        ({"valid_until": "2026-02-30T00:00:00Z"}, "valid_until"),
    ],
)
def test_a_malformed_campaign_is_refused_with_the_field(staff, changes, field):
    response = staff.post(CAMPAIGNS, offer(**changes))
    assert code(response) == (400, "validation_failed")
    assert list(response.json()["errors"]) == [field]
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"value": "0"}, "value_out_of_range"),
        ({"value": "-5"}, "value_out_of_range"),
        ({"value": "101"}, "value_out_of_range"),
        ({"minimum_order": "-1"}, "negative"),
        ({"currency": "XXX"}, "unknown_currency"),
        ({"valid_until": "2026-01-01T00:00:00Z"}, "ends_before_it_begins"),
    ],
)
def test_a_campaign_that_makes_no_sense_is_refused_with_a_code(staff, changes, problem):
    assert code(staff.post(CAMPAIGNS, offer(**changes))) == (422, problem)


@pytest.mark.parametrize("body", ["{", "[]", '"x"', "null", "1", '{"name": {"a": 1}}'])
def test_a_body_that_is_no_campaign_is_a_problem_and_no_fault(staff, body):
    response = staff.post(CAMPAIGNS, body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["code"] in ("parse_error", "validation_failed")


def test_campaigns_are_filtered_and_cut_into_pages(user):
    for number in range(3):
        services.create_campaign(name=f"Number {number}", terms=terms(), quantity=1, per_user_limit=1)
    assert user.get(CAMPAIGNS, {"name": "number 1"}).json()["count"] == 1
    assert user.get(CAMPAIGNS, {"kind": "amount"}).json()["count"] == 0
    assert user.get(CAMPAIGNS, {"active": "true"}).json()["count"] == 0  # it was in the past
    assert user.get(CAMPAIGNS, {"active": "false"}).json()["count"] == 3
    page = user.get(CAMPAIGNS, {"page_size": 2}).json()
    assert ([each["name"] for each in page["results"]], page["count"]) == (["Number 2", "Number 1"], 3)
    assert user.get(CAMPAIGNS, {"kind": "gift"}).status_code == 400
    assert user.get(CAMPAIGNS, {"page": "no"}).status_code == 404


def test_only_staff_creates_and_grants(user):
    assert user.post(CAMPAIGNS, offer()).status_code == 403
    assert user.post(COUPONS, {}).status_code == 403


@pytest.mark.parametrize("address", [CAMPAIGNS, COUPONS, f"/api/v1/claims/{uuid4()}", f"{CAMPAIGNS}/{uuid4()}"])
def test_nothing_is_shown_without_a_token(address):
    assert APIClient().get(address).status_code == 401


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_no_other_method_is_known(staff, method):
    for address in (CAMPAIGNS, COUPONS):
        assert getattr(staff, method)(address).status_code == 405


def test_the_schema_names_every_address():
    schema = APIClient().get("/api/schema", {"format": "json"}).json()
    addresses = {address.removeprefix("/api/v1") for address in schema["paths"] if address.startswith("/api/v1")}
    named = {
        "/campaigns",
        "/coupons",
        "/claims/{claim_id}",
        "/campaigns/{campaign_id}",
        "/campaigns/{campaign_id}/claims",
    }
    assert addresses == named


def test_a_campaign_has_a_tag_that_grants_do_not_change(user, staff):
    address = staff.post(CAMPAIGNS, offer()).headers["Location"]
    tag = user.get(address)["ETag"]
    campaign = Campaign.objects.get()
    staff.post(COUPONS, {"campaign_id": campaign.id, "user_id": uuid4()})
    assert (user.get(address)["ETag"], user.get(address).json()["granted"]) == (tag, 1)


def test_a_claim_under_other_terms_than_these_is_a_412(user, staff):
    address = staff.post(CAMPAIGNS, offer()).headers["Location"]
    refused = user.post(f"{address}/claims", headers={"If-Match": '"other"'})
    assert code(refused) == (412, "precondition_failed")
    assert refused.json()["current"] == user.get(address).json()
    assert user.post(f"{address}/claims", headers={"If-Match": refused["ETag"]}).status_code == 202
