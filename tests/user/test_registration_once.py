"""Idempotency-Key at the registration, which comes without a token and with a password."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from tests.user.conftest import PASSWORD
from user_app import tasks
from user_app.models import IdempotencyKey, User

pytestmark = pytest.mark.django_db(transaction=True)
BOB = {"username": "bob", "email": "bob@example.com", "password": PASSWORD}


def register(client: APIClient, **changes: str) -> Any:
    return client.post("/api/v1/users", {**BOB, **changes}, headers={"Idempotency-Key": "k"})


def test_a_registration_sent_twice_with_one_key_is_one_account(client: APIClient) -> None:
    first, again = register(client), register(client)

    assert (again.status_code, again.json()) == (201, first.json())
    assert (User.objects.count(), again["Idempotent-Replayed"]) == (1, "true")


def test_a_key_shows_nothing_to_somebody_who_does_not_know_the_password(client: APIClient) -> None:
    register(client)

    for changes in ({"password": "another-horse-battery-8"}, {"username": "eve"}):
        answer = register(client, **changes)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_a_password_cannot_be_guessed_from_what_is_kept(client: APIClient) -> None:
    register(client)
    kept = IdempotencyKey.objects.get()

    plain = json.dumps(BOB, sort_keys=True, separators=(",", ":")).encode()
    assert kept.body_hash != hashlib.sha256(plain).hexdigest()
    assert "password" not in kept.response


def test_a_refused_registration_leaves_the_key_free(client: APIClient) -> None:
    assert register(client, password="short").status_code == 400
    assert register(client).status_code == 201


def test_keys_leave_after_their_time() -> None:
    for hours in (100, 1):
        at = timezone.now() - timedelta(hours=hours)
        IdempotencyKey.objects.create(user_id=uuid4(), key="k", body_hash="x", created_at=at)

    assert (tasks.clean_up(), IdempotencyKey.objects.count()) == (1, 1)
