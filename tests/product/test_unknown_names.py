"""Every endpoint of this service refuses a field and a filter that it does not know."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests import unknown_names

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("value", ["maybe", "0", ""])
def test_a_filter_that_cannot_be_read_does_not_list_everything(staff: APIClient, value: str) -> None:
    answer = staff.get(f"/api/v1/products?active={value}")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["active"])


def test_every_post_that_makes_something_takes_an_idempotency_key() -> None:
    assert unknown_names.posts_without_key() == []
