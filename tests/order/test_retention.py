"""What leaves the order service's tables by age: idempotency keys and sessions, and nothing of an order."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.utils import timezone
from rest_framework.test import APIClient

from config.celery import app, schedule
from config.tasks import clear_sessions
from order_app import tasks
from order_app.models import IdempotencyKey, Order
from tests.order.given import a_confirmed_order, a_product, all_rows
from tests.order.test_api_place import line, place
from webapi import idempotency

pytestmark = pytest.mark.django_db(transaction=True)

HOURS = 72


@pytest.fixture(autouse=True)
def keys_are_kept_for_72_hours(settings: LazySettings) -> None:
    settings.IDEMPOTENCY_RETENTION_HOURS = HOURS


def age(hours: float) -> None:
    """Let all keys be so old."""
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=hours))


@pytest.fixture
def body() -> dict[str, object]:
    return {"lines": [line(a_product())], "coupon_id": None}


def test_a_key_within_its_retention_gives_the_first_answer_again(customer: APIClient, body: dict[str, object]) -> None:
    first = place(customer, body).json()
    age(HOURS - 0.1)

    assert tasks.clean_up() == 0
    assert place(customer, body).json() == first
    assert Order.objects.count() == 1


def test_a_key_past_its_retention_is_free_again(customer: APIClient, body: dict[str, object]) -> None:
    first = place(customer, body).json()
    age(HOURS + 0.1)

    assert tasks.clean_up() == 1
    assert place(customer, body).json()["id"] != first["id"]


def test_a_key_that_leaves_while_it_is_looked_up_is_free_again(
    customer: APIClient, body: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place(customer, body).json()
    claim = idempotency._claim

    def claim_just_before_it_leaves(answers: type[IdempotencyKey], key: idempotency.Key) -> bool:
        claimed = claim(answers, key)
        IdempotencyKey.objects.filter(response__isnull=False).delete()
        return claimed

    monkeypatch.setattr(idempotency, "_claim", claim_just_before_it_leaves)
    response = place(customer, body)

    assert response.status_code == 202
    assert response.json()["id"] != first["id"]


def test_an_order_and_its_saga_never_leave(user_id: UUID) -> None:
    order_id = a_confirmed_order(user_id=user_id)
    Order.objects.filter(id=order_id).update(created_at=timezone.now() - timedelta(days=3650))
    before = all_rows()

    tasks.clean_up()

    assert all_rows() == before


def test_sessions_that_have_expired_leave_and_others_stay() -> None:
    now = timezone.now()
    for key, expires in (("old", now - timedelta(hours=1)), ("young", now + timedelta(hours=1))):
        Session.objects.create(session_key=key, session_data="", expire_date=expires)

    clear_sessions()

    assert list(Session.objects.values_list("session_key", flat=True)) == ["young"]


def test_every_clean_up_is_on_the_schedule_and_known_to_the_worker() -> None:
    app.loader.import_default_modules()
    cleaning = {"messaging.clean_up", "order.clean_up", "config.clear_sessions"}

    assert cleaning <= set(schedule())
    assert {entry["task"] for entry in schedule().values()} <= set(app.tasks)
