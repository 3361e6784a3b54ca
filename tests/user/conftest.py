"""What the user service's tests start from: a client, a registered user, tokens, and what was published."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from messaging.models import OutboxRow
from user_app import services
from user_app.models import User
from user_app.sessions import start_session
from webapi import limits

PASSWORD = "correct-horse-battery-7"


@pytest.fixture(autouse=True)
def _quick_hashing_and_no_failures_yet(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    limits._storage().reset()


@pytest.fixture
def client() -> APIClient:
    return APIClient()


@pytest.fixture
def alice(transactional_db: None) -> User:
    with transaction.atomic():
        user = services.register_user(username="alice", email="alice@example.com", password=PASSWORD)
    OutboxRow.objects.all().delete()
    return user


@pytest.fixture
def as_alice(alice: User) -> APIClient:
    return client_of(alice)


def client_of(user: User) -> APIClient:
    """A client that sends an access token of `user`."""
    signed_in = APIClient()
    signed_in.credentials(HTTP_AUTHORIZATION=f"Bearer {start_session(user=user).access}")
    return signed_in


@pytest.fixture
def published() -> Callable[[], list[dict[str, Any]]]:
    """The data of every recorded event, the oldest first."""
    return lambda: [json.loads(bytes(row.data)) for row in OutboxRow.objects.order_by("id")]
