"""Reads: users and their purchases."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

from django.db.models import F, QuerySet, Sum

from user_app.domain import PurchaseState
from user_app.models import Purchase, User


def get_active_user(*, user_id: UUID) -> User | None:
    """Return the user; None if the id is unknown or the user is deactivated."""
    return User.objects.filter(pk=user_id, is_active=True).first()


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
