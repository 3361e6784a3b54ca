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
