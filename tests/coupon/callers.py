"""Who calls the API in the tests, and how a problem is read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.test import APIClient

from tests.coupon.given import USER
from webapi.authentication import TokenUser
from webapi.roles import Role

CAMPAIGNS, COUPONS = "/api/v1/campaigns", "/api/v1/coupons"


def caller(user_id: UUID = USER, *, staff: bool = False) -> APIClient:
    """Return a client that calls with a valid token of this user."""
    client = APIClient()
    client.force_authenticate(TokenUser(id=user_id, is_staff=staff, roles=frozenset(Role) if staff else frozenset()))
    return client


def code(response: Any) -> tuple[int, str]:
    """Return status and code of a problem response."""
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()["code"]
