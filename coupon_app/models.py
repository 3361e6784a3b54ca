"""Tables of the coupon service. The hot path reads and writes them through `sql.py`."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from coupon_app.campaigns import ClaimStatus, Kind
from coupon_app.domain import CouponStatus
from messaging import new_id
from saga.participant import Decision
from webapi.stored_answers import StoredAnswer


def _choices(*values: str) -> list[tuple[str, str]]:
    return [(str(value), str(value)) for value in values]


def _money(**options: object) -> models.DecimalField:
    """Return a column for money of any currency. In ISO 4217 no currency has more than four digits after the point."""
    return models.DecimalField(max_digits=20, decimal_places=4, **options)


class Campaign(models.Model):
    """An offer of `quantity` coupons. Its terms never change: orders rely on them."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=7, choices=_choices(*Kind))
    value = _money(help_text="Percent of the total, or an amount in the campaign's currency.")
    currency = models.CharField(max_length=3, null=True, blank=True, help_text="ISO 4217. Empty for percent: any.")
    minimum_order = _money(default=0, help_text="The least total of an order, before the discount.")
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(db_index=True, help_text="The first moment that is too late.")
    quantity = models.PositiveIntegerField()
    per_user_limit = models.PositiveIntegerField(default=1)
    granted = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(granted__lte=F("quantity")), name="campaign_grants_at_most_its_quantity"
            ),
            models.CheckConstraint(condition=Q(valid_from__lt=F("valid_until")), name="campaign_begins_before_it_ends"),
            models.CheckConstraint(
                condition=~Q(kind=Kind.AMOUNT) | Q(currency__isnull=False), name="amount_has_currency"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Coupon(models.Model):
    """One coupon of a user. `order_id` is the one live order that uses it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="coupons", db_index=False)
    user_id = models.UUIDField()
    order_id = models.UUIDField(null=True, blank=True)
    status = models.CharField(
        max_length=9, choices=_choices(CouponStatus.AVAILABLE, CouponStatus.USED), default=CouponStatus.AVAILABLE
    )
    granted_by = models.CharField(max_length=200, help_text="claim, or the staff member who granted it.")
    grant_reason = models.CharField(max_length=500, blank=True)
    granted_at = models.DateTimeField()

    class Meta:
        ordering = ["-granted_at", "-id"]
        indexes = [models.Index(fields=["user_id", "campaign"], name="coupon_of_user")]
        constraints = [
            models.UniqueConstraint(
                fields=["order_id"], condition=Q(order_id__isnull=False), name="one_coupon_per_order"
            ),
            models.CheckConstraint(
                condition=Q(status=CouponStatus.USED, order_id__isnull=False)
                | Q(status=CouponStatus.AVAILABLE, order_id__isnull=True),
                name="coupon_is_used_by_an_order",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class CouponDecision(models.Model):
    """The final decision for an order: every answer about it comes from this row.

    `decision` is empty only inside the transaction that inserts the row: it inserts first and decides then.
    """

    order_id = models.UUIDField(primary_key=True)
    coupon_id = models.UUIDField(db_index=True)
    decision = models.CharField(max_length=14, null=True, choices=_choices(*Decision))
    reason = models.CharField(max_length=32, blank=True)
    discount = _money(null=True)
    currency = models.CharField(max_length=3, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]
        verbose_name = "decision"

    def __str__(self) -> str:
        return f"{self.order_id}: {self.decision}"


class Claim(models.Model):
    """A user's claim for a coupon of a campaign. It is decided once, in the order of the log."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # No database key: its check would lock the campaign's row, which all claims of a rush share.
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="claims", db_constraint=False)
    user_id = models.UUIDField(db_index=True)
    status = models.CharField(max_length=13, choices=_choices(*ClaimStatus), default=ClaimStatus.PENDING)
    coupon_id = models.UUIDField(null=True)
    requested_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-requested_at", "-id"]

    def __str__(self) -> str:
        return f"{self.id}: {self.status}"


class UserCopy(models.Model):
    """The local copy of a user, from `user.events`. An older version never overwrites a newer one."""

    user_id = models.UUIDField(primary_key=True)
    version = models.BigIntegerField()
    active = models.BooleanField()

    class Meta:
        verbose_name = "user"

    def __str__(self) -> str:
        return str(self.user_id)


class IdempotencyKey(StoredAnswer):
    """The first answer to each campaign, grant or claim that was made with a key."""

    class Meta(StoredAnswer.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["user_id", "key"], name="coupon_idempotency_once")]
