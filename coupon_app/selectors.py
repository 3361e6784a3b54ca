"""Queries for the API and the admin."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Case, F, QuerySet, Value, When

from coupon_app.domain import CouponStatus
from coupon_app.models import Campaign, Claim, Coupon, UserCopy


def list_campaigns() -> QuerySet[Campaign]:
    """Return all campaigns, the newest first."""
    return Campaign.objects.order_by("-created_at", "-id")


def with_state(coupons: QuerySet[Coupon], *, now: datetime) -> QuerySet[Coupon]:
    """Return the coupons with `state`: their status, or EXPIRED if unused after the end of their campaign."""
    ended = When(status=CouponStatus.AVAILABLE, campaign__valid_until__lte=now, then=Value(str(CouponStatus.EXPIRED)))
    return coupons.annotate(state=Case(ended, default=F("status")))


def list_coupons(*, user_id: UUID, now: datetime) -> QuerySet[Coupon]:
    """Return a user's coupons with their `state`, the newest first."""
    return with_state(Coupon.objects.filter(user_id=user_id), now=now).order_by("-granted_at", "-id")


def list_claims(*, user_id: UUID) -> QuerySet[Claim]:
    """Return a user's claims."""
    return Claim.objects.filter(user_id=user_id)


def is_active(user_id: UUID) -> bool:
    """Return whether a user may claim. A user without a copy may."""
    return not UserCopy.objects.filter(user_id=user_id, active=False).exists()
