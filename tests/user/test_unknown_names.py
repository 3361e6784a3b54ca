"""Every endpoint of this service refuses a field and a filter that it does not know."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests import unknown_names

pytestmark = pytest.mark.django_db


def test_every_body_refuses_an_unknown_field_at_any_depth(as_alice: APIClient) -> None:
    assert unknown_names.endpoints_that_ignore_unknown_fields(as_alice) == []


def test_every_list_refuses_an_unknown_parameter(as_alice: APIClient) -> None:
    assert unknown_names.lists_that_ignore_unknown_parameters(as_alice) == []


def test_every_endpoint_refuses_an_unknown_parameter(as_alice: APIClient) -> None:
    assert unknown_names.endpoints_that_ignore_unknown_parameters(as_alice) == []


def test_nul_is_a_400_at_every_endpoint(as_alice: APIClient) -> None:
    assert unknown_names.endpoints_that_take_nul(as_alice) == []


def test_every_address_finds_an_id_in_upper_case() -> None:
    assert unknown_names.addresses_with_ids_in_lower_case_only() == []


def test_a_misspelled_active_does_not_leave_the_account_active(as_alice: APIClient) -> None:
    answer = as_alice.patch("/api/v1/users/me", {"is_active": False})

    assert answer.status_code == 400
    assert 'Did you mean "active"?' in answer.json()["errors"]["is_active"][0]


def test_every_post_that_makes_something_takes_an_idempotency_key() -> None:
    # A session ends by itself.
    assert unknown_names.posts_without_key() == [
        "POST /api/v1/token",
        "POST /api/v1/token/refresh",
        "POST /api/v1/token/revoke",
    ]
