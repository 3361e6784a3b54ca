"""The order service's tables: orders and their sagas, local copies, the history and the audit log."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from messaging import new_id
from order_app.domain import OrderStatus, SagaStatus, StepStatus
from webapi.stored_answers import StoredAnswer


def _choices(statuses: type[OrderStatus | SagaStatus | StepStatus]) -> list[tuple[str, str]]:
    return [(status.value, status.value) for status in statuses]


def _money(**options: Any) -> models.DecimalField[Any, Any]:
    # Wide enough for the largest order at the largest price.
    return models.DecimalField(max_digits=30, decimal_places=4, **options)


class Order(models.Model):
    """What a customer ordered. `total` is of the lines, before `discount`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user_id = models.UUIDField()
    status = models.CharField(max_length=10, choices=_choices(OrderStatus), default=OrderStatus.PENDING.value)
    reason = models.TextField(blank=True, default="")
    total = _money()
    discount = _money(default=0)
    currency = models.CharField(max_length=3)
    coupon_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField()
    # Orders of older releases have none of these three.
    confirmed_at = models.DateTimeField(null=True, blank=True)
    canceled_at = models.DateTimeField(null=True, blank=True)
    #: When status, reason or discount changed last.
    updated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-id"]
        indexes = [models.Index(fields=["user_id", "-id"], name="order_of_user")]

    def __str__(self) -> str:
        return str(self.id)


class OrderLine(models.Model):
    """A quantity of one product, at the price and under the name when the order was placed."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines", verbose_name=_("order"))
    product_id = models.UUIDField()
    quantity = models.PositiveIntegerField()
    unit_price = _money()
    # Lines of older releases have no name.
    name = models.TextField(blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}"


class Saga(models.Model):
    """The progress of an order's coordination. Written only while the order's row is locked."""

    order = models.OneToOneField(Order, models.CASCADE, primary_key=True, verbose_name=_("order"))
    status = models.CharField(max_length=20, choices=_choices(SagaStatus), default=SagaStatus.RUNNING.value)
    deadline = models.DateTimeField()
    #: The end offsets of the participants' topics, read once after the deadline: "topic/partition" → next offset.
    guard_offsets = models.JSONField(null=True, blank=True)
    canceled_by = models.TextField(blank=True, default="")
    #: Ids of the first OrderCreated and the first OrderCanceled: repeated events name them as their cause.
    created_event_id = models.TextField(blank=True, default="")
    canceled_event_id = models.TextField(blank=True, default="")
    undo_asked_at = models.DateTimeField(null=True, blank=True)
    undo_next_at = models.DateTimeField(null=True, blank=True)
    undo_count = models.IntegerField(default=0)
    flagged = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("saga")
        verbose_name_plural = _("sagas")
        ordering = ["-order_id"]
        indexes = [
            models.Index(fields=["deadline"], condition=models.Q(status="RUNNING"), name="saga_running_deadline"),
            models.Index(fields=["undo_next_at"], condition=models.Q(undo_next_at__isnull=False), name="saga_undo_due"),
            models.Index(fields=["order"], condition=models.Q(flagged=True), name="saga_flagged"),
        ]
        permissions = [
            ("compensate_saga", "Can compensate a saga"),
            ("request_saga_again", "Can send a saga's request again"),
            ("resolve_saga", "Can resolve a stuck saga by hand"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.status}"


class SagaStep(models.Model):
    """One step of a saga. `attempts` is how many attempts the participant reports, 0 before its answer."""

    saga = models.ForeignKey(Saga, models.CASCADE, related_name="steps", db_index=False, verbose_name=_("saga"))
    name = models.CharField(max_length=50)
    status = models.CharField(max_length=10, choices=_choices(StepStatus), default=StepStatus.PENDING.value)
    succeeded = models.BooleanField(default=False)
    attempts = models.IntegerField(default=0)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["saga", "name"], name="step_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.status}"


class SagaHistory(models.Model):
    """What happened to a saga, in order. Append-only, also in the database."""

    # No foreign key: the writer holds the order's lock and has just read it. A constraint would read each order again.
    saga = models.ForeignKey(
        Saga,
        models.DO_NOTHING,
        related_name="history",
        db_column="order_id",
        db_constraint=False,
        verbose_name=_("saga"),
    )
    at = models.DateTimeField()
    #: Empty for the saga itself.
    step = models.CharField(max_length=50, blank=True, default="")
    from_status = models.CharField(max_length=20, blank=True, default="")
    to_status = models.CharField(max_length=20, blank=True, default="")
    event = models.TextField(blank=True, default="")
    event_id = models.TextField(blank=True, default="")
    headers = models.JSONField(default=dict)
    data = models.TextField(blank=True, default="")
    actor = models.TextField()
    flagged = models.BooleanField(default=False)
    note = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = _("history row")
        verbose_name_plural = _("history")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.step or 'saga'} {self.from_status} → {self.to_status}"


class ProductCopy(models.Model):
    """The local copy of a product, from ProductChanged. An older version never overwrites a newer one."""

    product_id = models.UUIDField(primary_key=True)
    version = models.BigIntegerField()
    name = models.TextField()
    price = _money()
    currency = models.CharField(max_length=3)
    active = models.BooleanField()

    class Meta:
        verbose_name = _("copy of a product")
        verbose_name_plural = _("copies of products")

    def __str__(self) -> str:
        return self.name


class UserCopy(models.Model):
    """The local copy of a user, from UserChanged. A user without a copy counts as active."""

    user_id = models.UUIDField(primary_key=True)
    version = models.BigIntegerField()
    active = models.BooleanField()

    class Meta:
        verbose_name = _("copy of a user")
        verbose_name_plural = _("copies of users")

    def __str__(self) -> str:
        return str(self.user_id)


class IdempotencyKey(StoredAnswer):
    """The first answer to each order that was placed with a key."""

    class Meta(StoredAnswer.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["user_id", "key"], name="idempotency_once")]


class OperatorAction(models.Model):
    """One action of an operator: what, why, to which orders, with which results. Append-only, also in the database."""

    actor = models.TextField()
    verb = models.CharField(max_length=50)
    reason = models.TextField()
    targets = models.JSONField()
    results = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("operator action")
        verbose_name_plural = _("operator actions")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.verb} by {self.actor}"
