"""Reads: users and their purchases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from user_app import tokens
from user_app.domain import PurchaseState
from user_app.models import Purchase, Session, User
from webapi.tokens import LEEWAY_SECONDS


def get_active_user(*, user_id: UUID) -> User | None:
    """Return the user; None if the id is unknown or the user is deactivated."""
    return User.objects.filter(pk=user_id, is_active=True).first()


def list_sessions(*, user: User) -> QuerySet[Session]:
    """Return the sessions in which the user can go on, the latest sign-in first.

    They have neither ended nor expired, their refresh token is not too old, and the password is still the same.
    """
    now = timezone.now()
    return Session.objects.filter(
        user=user,
        ended_at=None,
        expires_at__gt=now,
        refreshed_at__gt=now - tokens.REFRESH_LIFETIME - timedelta(seconds=LEEWAY_SECONDS),
        password_mark=tokens.password_mark(user),
    )


def list_purchases(*, user_id: UUID) -> QuerySet[Purchase]:
    """Return the user's confirmed orders, the latest first."""
    return Purchase.objects.filter(user_id=user_id, state=PurchaseState.COUNTED)


def get_spent(*, user_id: UUID) -> dict[str, Decimal]:
    """Return what the user paid, after discounts, by currency."""
    sums = list_purchases(user_id=user_id).order_by("currency").values("currency")
    return {row["currency"]: row["paid"] for row in sums.annotate(paid=Sum(F("total") - F("discount")))}


def list_user_ids(*, size: int) -> Iterator[list[UUID]]:
    """Yield the ids of all users in order, in lists of `size`. Users created meanwhile may be missing."""
    after = UUID(int=0)
    while page := list(User.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:size]):
        yield page
        after = page[-1]
