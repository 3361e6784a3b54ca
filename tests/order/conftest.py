"""Callers of the API, and no relay to wake."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from messaging.outbox import notifier
from webapi.authentication import TokenUser
from webapi.roles import Role


@pytest.fixture(autouse=True, scope="session")
def nobody_to_wake() -> None:
    """Keep the waking thread from starting: its connection would outlive the test database."""
    notifier.local_relay = lambda: True


@pytest.fixture
def user_id() -> UUID:
    return uuid4()


@pytest.fixture
def customer(user_id: UUID) -> APIClient:
    return client_of(user_id)


@pytest.fixture
def stranger() -> APIClient:
    return client_of(uuid4())


@pytest.fixture
def staff() -> APIClient:
    return client_of(uuid4(), is_staff=True)


def client_of(user_id: UUID, *, is_staff: bool = False, roles: Iterable[Role] = Role) -> APIClient:
    """Return a client of the API that is signed in as this user; `roles`: of staff."""
    client = APIClient()
    user = TokenUser(id=user_id, is_staff=is_staff, roles=frozenset(roles if is_staff else ()))
    client.force_authenticate(user=user)
    return client
