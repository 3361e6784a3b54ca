"""Reads: users and their purchases."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from user_app.domain import PurchaseState
from user_app.models import Purchase, Session, User


def get_active_user(*, user_id: UUID) -> User | None:
    """Return the user; None if the id is unknown or the user is deactivated."""
    return User.objects.filter(pk=user_id, is_active=True).first()


def is_session_open(*, session_id: UUID | None, user_id: UUID) -> bool:
    """Return whether this session of the user has neither ended nor expired."""
    return list_sessions(user_id=user_id).filter(pk=session_id).exists()


def list_sessions(*, user_id: UUID) -> QuerySet[Session]:
    """Return the user's open sessions, the latest sign-in first."""
    return Session.objects.filter(user_id=user_id, ended_at=None, expires_at__gt=timezone.now())


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
