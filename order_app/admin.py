"""The operators' view of orders and sagas: operators can read everything, edit nothing, and run three actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from messaging import Result
from messaging.admin import (
    ReadOnly,
    ReadOnlyAdmin,
    ReasonedAction,
    ReasonedActionsAdmin,
    SearchByIds,
    Target,
    known_filter,
)
from order_app import selectors, services
from order_app.domain import COMMANDS, Command, SagaStatus, StepStatus, steps
from order_app.models import (
    IdempotencyKey,
    OperatorAction,
    Order,
    OrderLine,
    ProductCopy,
    Saga,
    SagaHistory,
    SagaStep,
    UserCopy,
)


class LineInline(ReadOnly, admin.TabularInline):
    """The lines of an order."""

    model = OrderLine
    extra = 0


class StepInline(ReadOnly, admin.TabularInline):
    """The steps of a saga."""

    model = SagaStep
    extra = 0


class HistoryInline(ReadOnly, admin.TabularInline):
    """What happened to a saga."""

    model = SagaHistory
    extra = 0
    fields = ("at", "step", "from_status", "to_status", "event", "event_id", "actor", "flagged", "note", "data")


@admin.register(Order)
class OrderAdmin(SearchByIds, ReadOnlyAdmin):
    """Orders with their lines."""

    list_display = ("id", "user_id", "status", "reason", "total", "discount", "currency", "created_at")
    list_filter = ("status", known_filter("currency", _("currency"), selectors.list_currencies))
    search_help_text = _("An order id or a user id")
    id_fields = ("id", "user_id")
    inlines = (LineInline,)


def _in_one_transaction(service: Callable[..., list[Result]]) -> Callable[..., list[Result]]:
    """Return what an action runs: the service changes all chosen sagas in one transaction, or none."""

    def run(targets: Sequence[Target], *, actor: str, reason: str) -> list[Result]:
        with transaction.atomic():
            return service(order_ids=[UUID(order_id) for (order_id,) in targets], actor=actor, reason=reason)

    return run


COMPENSATE = ReasonedAction(
    "compensate",
    _("Compensate"),
    "order_app.compensate_saga",
    _("The order is canceled, and each service undoes its step. You cannot undo this."),
    _in_one_transaction(services.compensate),
)
REQUEST_AGAIN = ReasonedAction(
    "request_again",
    _("Send the request again"),
    "order_app.request_saga_again",
    _(
        "The order service publishes OrderCreated again. A service that has already decided repeats its answer; "
        "nothing happens twice."
    ),
    _in_one_transaction(services.request_again),
)
RESOLVE = ReasonedAction(
    "resolve_by_hand",
    _("Resolve by hand"),
    "order_app.resolve_saga",
    _(
        "You confirm that no service still holds anything for this order. The undo requests continue, and a late "
        "answer still counts. Do not adjust stock and do not grant a coupon: the late answer would give it back a "
        "second time."
    ),
    _in_one_transaction(services.resolve_by_hand),
)
COMMAND_OF = {
    COMPENSATE.name: Command.CANCEL,
    REQUEST_AGAIN.name: Command.REQUEST_AGAIN,
    RESOLVE.name: Command.RESOLVE,
}


@admin.register(Saga)
class SagaAdmin(SearchByIds, ReasonedActionsAdmin):
    """Sagas with steps and history. Each action opens a page that asks for a reason."""

    reasoned_actions = (COMPENSATE, REQUEST_AGAIN, RESOLVE)
    columns = (_("Order"), _("Saga"), _("Steps"), _("What will happen"))
    target_columns = 1
    list_display = ("order_id", "customer", "status", "deadline", "undo_count", "flagged", "created_at", "finished_at")
    list_filter = ("status", "flagged", "steps__status")
    list_select_related = ("order",)
    search_help_text = _("An order id or a user id")
    id_fields = ("order_id", "order__user_id")
    readonly_fields = ("customer", "why_not_finished")
    inlines = (StepInline, HistoryInline)

    @admin.display(description=_("customer"), ordering="order__user_id")
    def customer(self, saga: Saga) -> UUID:
        """Return the customer's id."""
        return saga.order.user_id

    @admin.display(description=_("why it is not finished"))
    def why_not_finished(self, saga: Saga) -> str:
        """Return what the unfinished steps wait for."""
        return "\n".join(selectors.waiting_for(saga)) or "-"

    def targets_of(self, rows: Iterable[Saga]) -> list[Target]:
        return [(str(saga.order_id),) for saga in rows]

    def posted_target(self, *parts: Any) -> Target:
        (order_id,) = super().posted_target(*parts)
        return (str(UUID(order_id)),)

    def describe(self, action: ReasonedAction, targets: Sequence[Target]) -> list[Sequence[Any]]:
        sagas = Saga.objects.filter(order_id__in=[order_id for (order_id,) in targets]).prefetch_related("steps")
        return [_row(saga, COMMAND_OF[action.name]) for saga in sagas]


def _row(saga: Saga, command: Command) -> Sequence[Any]:
    steps = ", ".join(f"{step.name} {step.status}" for step in saga.steps.all())
    return (saga.order_id, saga.status, steps, COMMANDS[SagaStatus(saga.status), command])


@admin.register(SagaHistory)
class SagaHistoryAdmin(SearchByIds, ReadOnlyAdmin):
    """Every transition of every saga."""

    list_display = ("at", "saga_id", "step", "from_status", "to_status", "event", "actor", "flagged")
    list_filter = (
        "flagged",
        known_filter("step", _("step"), lambda: [step.name for step in steps.STEPS]),
        known_filter("to_status", _("to status"), lambda: sorted({*SagaStatus, *StepStatus})),
    )
    search_help_text = _("An order id")
    id_fields = ("saga_id",)


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """The audit log: which operator did what, and why."""

    list_display = ("at", "actor", "verb", "reason")
    list_filter = ("verb",)
    search_fields = ("actor", "reason")


@admin.register(ProductCopy)
class ProductCopyAdmin(SearchByIds, ReadOnlyAdmin):
    """What the order service knows of products."""

    list_display = ("name", "product_id", "version", "price", "currency", "active")
    list_filter = ("active", "currency")
    id_fields = ("product_id",)


@admin.register(UserCopy)
class UserCopyAdmin(SearchByIds, ReadOnlyAdmin):
    """What the order service knows of users."""

    list_display = ("user_id", "version", "active")
    list_filter = ("active",)
    id_fields = ("user_id",)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(SearchByIds, ReadOnlyAdmin):
    """The first answer to each request that has an Idempotency-Key."""

    list_display = ("key", "user_id", "target", "created_at")
    id_fields = ("user_id",)
