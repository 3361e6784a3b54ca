"""Products with their stock, the history of its adjustments, and the decisions and holds of orders.

For each product, at any time: quantity + open holds = the sum of its adjustments.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messaging import new_id
from money import MINOR_UNITS
from product_app.domain import InvalidPrice, check_price
from saga.participant import Decision
from webapi.stored_answers import StoredAnswer

#: The largest adjustment: the sum of all adjustments must fit the column.
MOST_PIECES = 1_000_000_000
REFUSED = Decision.REFUSED.value


def currencies() -> list[tuple[str, str]]:
    """Return the currencies of prices. A function, so that a new edition of ISO 4217 needs no migration."""
    return [(code, code) for code in MINOR_UNITS]


class Product(models.Model):
    """A product for sale. `version` counts the published changes; a change of stock is not one."""

    id = models.UUIDField(_("id"), primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=200)
    price = models.DecimalField(_("price"), max_digits=18, decimal_places=3)
    currency = models.CharField(_("currency"), max_length=3, choices=currencies)
    quantity = models.BigIntegerField(_("in stock"), default=0, editable=False)
    active = models.BooleanField(_("active"), default=True, help_text=_("Shown to customers and open to new orders."))
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gte=0), name="product_quantity_not_negative"),
            models.CheckConstraint(condition=Q(price__gte=0), name="product_price_not_negative"),
            models.CheckConstraint(condition=Q(version__gte=1), name="product_version_from_one"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.price is None:
            return
        try:
            check_price(self.price, self.currency)
        except InvalidPrice as error:
            raise ValidationError({"price": str(error)}) from error


class StockAdjustment(models.Model):
    """A change of stock by a person. Append-only: a trigger refuses updates and deletes.

    The caller chooses `request_key`, so that a repeated request adds no row.
    """

    product = models.ForeignKey(Product, models.PROTECT, related_name="adjustments", verbose_name=_("product"))
    delta = models.BigIntegerField(
        _("change"), validators=[MinValueValidator(-MOST_PIECES), MaxValueValidator(MOST_PIECES)]
    )
    reason = models.CharField(_("reason"), max_length=500)
    actor = models.CharField(_("by"), max_length=255, editable=False)
    request_key = models.CharField(_("request key"), max_length=255, null=True)
    at = models.DateTimeField(_("at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("stock adjustment")
        verbose_name_plural = _("stock adjustments")
        constraints = [
            models.CheckConstraint(condition=~Q(delta=0), name="adjustment_changes_something"),
            models.CheckConstraint(condition=~Q(reason=""), name="adjustment_has_a_reason"),
            models.UniqueConstraint(fields=["actor", "request_key"], name="adjustment_once_per_request"),
        ]

    def __str__(self) -> str:
        return f"{self.delta:+d} ({self.reason})"


class StockDecision(models.Model):
    """The decision for an order: one row, never deleted. `at` is the time of the first decision."""

    order_id = models.UUIDField(_("order"), primary_key=True)
    decision = models.CharField(_("decision"), max_length=20, choices=[(each.value, each.value) for each in Decision])
    reason = models.CharField(_("reason"), max_length=50, blank=True)
    detail = models.TextField(_("detail"), blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("stock decision")
        verbose_name_plural = _("stock decisions")
        constraints = [
            models.CheckConstraint(
                condition=Q(decision__in=[each.value for each in Decision]), name="decision_is_known"
            ),
            models.CheckConstraint(
                condition=Q(decision=REFUSED) & ~Q(reason="") | ~Q(decision=REFUSED) & Q(reason=""),
                name="decision_reason_when_refused",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.decision}"


class StockHold(models.Model):
    """The stock of a product that an order holds, or held: a row that was given back has the time of that.

    A confirmed order keeps its rows open for ever, so no index lists the open ones: it would grow with every sale.
    The database has no foreign keys here. The writer has locked both rows, rows are never deleted, and the check of
    the keys would be the slowest part of the insert.
    """

    decision = models.ForeignKey(
        StockDecision,
        models.PROTECT,
        db_column="order_id",
        db_constraint=False,
        db_index=False,
        related_name="holds",
        verbose_name=_("order"),
    )
    product = models.ForeignKey(
        Product, models.PROTECT, db_constraint=False, db_index=False, related_name="holds", verbose_name=_("product")
    )
    quantity = models.BigIntegerField(_("quantity"))
    restored_at = models.DateTimeField(_("given back at"), null=True)

    class Meta:
        verbose_name = _("stock hold")
        verbose_name_plural = _("stock holds")
        constraints = [
            models.UniqueConstraint(fields=["decision", "product"], name="hold_once_per_order_and_product"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="hold_of_something"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}"


class IdempotencyKey(StoredAnswer):
    """The first answer to each product or adjustment that was made with a key."""

    class Meta(StoredAnswer.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["user_id", "key"], name="product_idempotency_once")]
