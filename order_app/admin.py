"""The operators' view of orders and sagas: everything readable, nothing editable, and three verbs on sagas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from order_app import selectors, services
from order_app.domain import COMMANDS, Command, SagaStatus
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


class ReadOnly:
    """Nothing is added, changed or deleted by hand; who may view the model may look."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class SearchByIds:
    """Search takes whole ids: they are indexed, parts of them are not."""

    search_fields = ("pk",)
    id_fields: tuple[str, ...] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows of which one of `id_fields` is the id that was typed."""
        if not search_term.strip():
            return queryset, False
        wanted = _uuid(search_term)
        if wanted is None:
            return queryset.none(), False
        matches = [Q(**{name: wanted}) for name in self.id_fields]
        return queryset.filter(Q.create(matches, connector=Q.OR)), False


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


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
class OrderAdmin(ReadOnly, SearchByIds, admin.ModelAdmin):
    """Orders with their lines."""

    list_display = ("id", "user_id", "status", "reason", "total", "discount", "currency", "created_at")
    list_filter = ("status", "currency")
    search_help_text = _("An order id or a user id")
    id_fields = ("id", "user_id")
    inlines = (LineInline,)


EXPLANATIONS = {
    Command.CANCEL: _(
        "The order is canceled, and every service is asked to undo what it did for it. This can't be taken back."
    ),
    Command.REQUEST_AGAIN: _(
        "The request is published again. A service that has decided already answers the same: nothing is done twice."
    ),
    Command.RESOLVE: _(
        "You take upon yourself that nothing is held any more. The requests go on being sent, and a late answer still "
        "counts: adjust no stock and grant no coupon because of this, or it is given back twice."
    ),
}


@admin.register(Saga)
class SagaAdmin(ReadOnly, SearchByIds, admin.ModelAdmin):
    """Sagas with steps and history; the verbs ask for a reason on a page of their own."""

    list_display = ("order_id", "customer", "status", "deadline", "undo_count", "flagged", "created_at", "finished_at")
    list_filter = ("status", "flagged", "steps__status")
    list_select_related = ("order",)
    search_help_text = _("An order id or a user id")
    id_fields = ("order_id", "order__user_id")
    readonly_fields = ("customer", "why_not_finished")
    inlines = (StepInline, HistoryInline)
    actions = ("compensate", "request_again", "resolve_by_hand")

    @admin.display(description=_("customer"), ordering="order__user_id")
    def customer(self, saga: Saga) -> UUID:
        """Return the customer's id."""
        return saga.order.user_id

    @admin.display(description=_("why it is not finished"))
    def why_not_finished(self, saga: Saga) -> str:
        """Return what the unfinished steps wait for."""
        return "\n".join(selectors.waiting_for(saga)) or "-"

    def has_compensate_permission(self, request: HttpRequest) -> bool:
        """Operators."""
        return request.user.has_perm("order_app.compensate_saga")

    def has_request_permission(self, request: HttpRequest) -> bool:
        """Operators."""
        return request.user.has_perm("order_app.request_saga_again")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        """Supervisors."""
        return request.user.has_perm("order_app.resolve_saga")

    @admin.action(description=_("Compensate"), permissions=["compensate"])
    def compensate(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Cancel the orders and undo everything."""
        return self._confirm_and_run(request, queryset, Command.CANCEL, services.compensate)

    @admin.action(description=_("Send the request again"), permissions=["request"])
    def request_again(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Publish OrderCreated again."""
        return self._confirm_and_run(request, queryset, Command.REQUEST_AGAIN, services.request_again)

    @admin.action(description=_("Resolve by hand"), permissions=["resolve"])
    def resolve_by_hand(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Accept that a stuck compensation was settled by people."""
        return self._confirm_and_run(request, queryset, Command.RESOLVE, services.resolve_by_hand)

    def _confirm_and_run(
        self,
        request: HttpRequest,
        sagas: QuerySet[Saga],
        command: Command,
        service: Callable[..., list[services.Result]],
    ) -> HttpResponse | None:
        reason = request.POST.get("reason", "").strip()
        if "confirmed" not in request.POST or not reason:
            return self._confirmation(request, sagas, command, reason)
        # The ids that the page showed, not a selection made anew: whatever matches by now was not looked at.
        order_ids = [saga_id for text in request.POST.getlist(ACTION_CHECKBOX_NAME) if (saga_id := _uuid(text))]
        with transaction.atomic():
            results = service(order_ids=order_ids, actor=request.user.get_username(), reason=reason)
        for result in results:
            level = messages.SUCCESS if result.outcome == "done" else messages.WARNING
            self.message_user(request, f"{result.order_id}: {result.outcome}. {result.detail}", level)
        return None

    def _confirmation(
        self, request: HttpRequest, sagas: QuerySet[Saga], command: Command, reason: str
    ) -> TemplateResponse:
        action = request.POST["action"]
        rows = [
            {
                "order_id": saga.order_id,
                "status": saga.status,
                "steps": ", ".join(f"{step.name} {step.status}" for step in saga.steps.all()),
                "preview": COMMANDS[SagaStatus(saga.status), command],
            }
            for saga in sagas.prefetch_related("steps")
        ]
        page = {
            **self.admin_site.each_context(request),
            "title": self.get_actions(request)[action][2],
            "explanation": EXPLANATIONS[command],
            "rows": rows,
            "action": action,
            "reason": reason,
            "checkbox": ACTION_CHECKBOX_NAME,
            "back": request.get_full_path(),
            "opts": self.model._meta,
        }
        return TemplateResponse(request, "admin/order_app/saga/confirm.html", page)


@admin.register(SagaHistory)
class SagaHistoryAdmin(ReadOnly, SearchByIds, admin.ModelAdmin):
    """Every transition of every saga."""

    list_display = ("at", "saga_id", "step", "from_status", "to_status", "event", "actor", "flagged")
    list_filter = ("flagged", "step", "to_status")
    search_help_text = _("An order id")
    id_fields = ("saga_id",)


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnly, admin.ModelAdmin):
    """Who did what, and why."""

    list_display = ("at", "actor", "verb", "reason")
    list_filter = ("verb",)
    search_fields = ("actor", "reason")


@admin.register(ProductCopy)
class ProductCopyAdmin(ReadOnly, SearchByIds, admin.ModelAdmin):
    """What the order service knows of products."""

    list_display = ("name", "product_id", "version", "price", "currency", "active")
    list_filter = ("active", "currency")
    id_fields = ("product_id",)


@admin.register(UserCopy)
class UserCopyAdmin(ReadOnly, SearchByIds, admin.ModelAdmin):
    """What the order service knows of users."""

    list_display = ("user_id", "version", "active")
    list_filter = ("active",)
    id_fields = ("user_id",)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnly, SearchByIds, admin.ModelAdmin):
    """First answers to requests with a key."""

    list_display = ("key", "user_id", "created_at")
    id_fields = ("user_id",)
