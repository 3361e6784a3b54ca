"""Users, and their purchases from the order service's events."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from messaging import new_id
from user_app.domain import PurchaseState
from webapi.stored_answers import StoredAnswer


class User(AbstractUser):
    """An account. Other services know only its id and whether it is active."""

    id = models.UUIDField(_("id"), primary_key=True, default=new_id, editable=False)
    # Grows with every UserChanged, so that an older one never overwrites a newer copy.
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)

    class Meta(AbstractUser.Meta):
        constraints = [
            # Otherwise "Alice" could pretend to be "alice".
            models.UniqueConstraint(Lower("username"), name="user_username_unique_in_any_case"),
        ]


class Session(models.Model):
    """One sign-in of a user, and which of its refresh tokens is valid.

    Each use of a refresh token replaces it. The session ends when an old one is used again: one of the two who have it
    is a thief (RFC 9700, 4.14).
    """

    id = models.UUIDField(_("id"), primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, verbose_name=_("user"), related_name="sessions")
    token_id = models.UUIDField(_("valid refresh token"))
    #: Which password the user had (tokens.password_mark): another one ends the session, however it was stored.
    password_mark = models.CharField(_("password mark"), max_length=32)
    previous_token_id = models.UUIDField(_("replaced refresh token"), null=True)
    created_at = models.DateTimeField(_("created at"))
    refreshed_at = models.DateTimeField(_("refreshed at"))
    expires_at = models.DateTimeField(_("expires at"))
    ended_at = models.DateTimeField(_("ended at"), null=True)
    end_reason = models.CharField(_("reason of the end"), max_length=20, blank=True, default="")
    device = models.CharField(_("device"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["expires_at"], name="session_expires")]

    def __str__(self) -> str:
        return f"session {self.id}"


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """An amount with the digits that were published. The column has no fixed scale."""

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **{"max_digits": 38, "decimal_places": 4, **options})

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return PostgreSQL's type."""
        return "numeric"


class Purchase(models.Model):
    """One order in a user's history. Because of this row, each event of the order counts once.

    An order that was canceled before its confirmation has no amounts.
    """

    order_id = models.UUIDField(_("order id"), primary_key=True)
    user_id = models.UUIDField(_("user id"))
    state = models.CharField(_("state"), max_length=8, choices=[(state.value, state.value) for state in PurchaseState])
    total = MoneyField(_("total"), null=True)
    discount = MoneyField(_("discount"), null=True)
    currency = models.CharField(_("currency"), max_length=3, default="", blank=True)
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True)
    canceled_at = models.DateTimeField(_("canceled at"), null=True)

    class Meta:
        verbose_name = _("purchase")
        verbose_name_plural = _("purchases")
        ordering = ["-confirmed_at", "-order_id"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state=PurchaseState.COUNTED.value)
                | models.Q(total__isnull=False, discount__isnull=False, confirmed_at__isnull=False),
                name="purchase_counted_has_amounts",
            )
        ]
        indexes = [
            models.Index(
                fields=["user_id", "-confirmed_at", "-order_id"],
                name="purchase_history",
                condition=models.Q(state=PurchaseState.COUNTED.value),
            )
        ]

    def __str__(self) -> str:
        return f"order {self.order_id}"


class IdempotencyKey(StoredAnswer):
    """The first answer to each registration with a key."""

    class Meta(StoredAnswer.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["user_id", "key"], name="user_idempotency_once")]
