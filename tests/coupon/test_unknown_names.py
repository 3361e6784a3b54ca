"""Every endpoint of this service refuses a field and a filter that it does not know."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests import unknown_names
from tests.coupon.given import valid_now

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_body_refuses_an_unknown_field_at_any_depth(staff: APIClient) -> None:
    assert unknown_names.endpoints_that_ignore_unknown_fields(staff) == []


def test_every_list_refuses_an_unknown_parameter(staff: APIClient) -> None:
    assert unknown_names.lists_that_ignore_unknown_parameters(staff) == []


def test_every_endpoint_refuses_an_unknown_parameter(staff: APIClient) -> None:
    assert unknown_names.endpoints_that_ignore_unknown_parameters(staff) == []


def test_nul_is_a_400_at_every_endpoint(staff: APIClient) -> None:
    assert unknown_names.endpoints_that_take_nul(staff) == []


def test_every_address_finds_an_id_in_upper_case() -> None:
    assert unknown_names.addresses_with_ids_in_lower_case_only() == []


def test_a_field_that_can_only_be_read_is_refused_too(staff: APIClient) -> None:
    answer = staff.post("/api/v1/campaigns", {"per_user_limits": 3, "granted": 7})

    assert answer.status_code == 400
    assert 'Did you mean "per_user_limit"?' in answer.json()["errors"]["per_user_limits"][0]
    assert {"granted", "name", "kind"} <= answer.json()["errors"].keys(), "beside what is missing"


def test_a_claim_without_a_body_is_as_good_as_one_with_an_empty_one(user: APIClient) -> None:
    for body in ({}, None):
        answer = user.post(f"/api/v1/campaigns/{valid_now().id}/claims", body)
        assert answer.status_code == 202, answer.json()


def test_every_post_that_makes_something_takes_an_idempotency_key() -> None:
    assert unknown_names.posts_without_key() == []
