"""What the order service reads, for its API, its timers and its operators."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from messaging import outbox_pending, unhandled
from order_app.domain import Product, SagaStatus, StepStatus, steps
from order_app.models import Order, ProductCopy, Saga, SagaStep, UserCopy


def get_products(product_ids: Iterable[UUID]) -> dict[UUID, Product]:
    """Return what we know of these products; an unknown one is left out."""
    rows = ProductCopy.objects.filter(product_id__in=set(product_ids))
    found = rows.values_list("product_id", "price", "currency", "active")
    return {product_id: Product(price, currency, active) for product_id, price, currency, active in found}


def get_inactive_users(user_ids: Iterable[UUID]) -> set[UUID]:
    """Return those users who were deactivated; one without a copy counts as active."""
    rows = UserCopy.objects.filter(user_id__in=set(user_ids), active=False)
    return set(rows.values_list("user_id", flat=True))


def list_orders(*, user_id: UUID | None = None) -> QuerySet[Order]:
    """Return the orders of a user, or all, newest first, with their lines."""
    orders = Order.objects.prefetch_related("lines")
    return orders if user_id is None else orders.filter(user_id=user_id)


def get_saga(order_id: UUID) -> Saga:
    """Return the saga with its steps and history; Saga.DoesNotExist."""
    return Saga.objects.select_related("order").prefetch_related("steps", "history").get(order_id=order_id)


def list_overdue(*, now: datetime, after: UUID | None = None, limit: int = 100) -> list[UUID]:
    """Return running sagas past their deadline, by order id, those after `after`."""
    return _page(Saga.objects.filter(status=SagaStatus.RUNNING, deadline__lte=now), after, limit)


def list_undo_due(*, now: datetime, after: UUID | None = None, limit: int = 100) -> list[UUID]:
    """Return sagas whose undo is due to be asked for again, by order id, those after `after`."""
    return _page(Saga.objects.filter(undo_next_at__lte=now), after, limit)


def _page(sagas: QuerySet[Saga], after: UUID | None, limit: int) -> list[UUID]:
    later = sagas if after is None else sagas.filter(order_id__gt=after)
    return list(later.order_by("order_id").values_list("order_id", flat=True)[:limit])


def waiting_for(saga: Saga) -> list[str]:
    """Return, in words, what each unfinished step waits for; empty when the saga waits for nothing."""
    unfinished = [step for step in saga.steps.all() if step.status in _WAITING]
    if not unfinished:
        return []
    why = _our_side(str(saga.order_id))
    return [_sentence(step, why) for step in unfinished]


_WAITING = (StepStatus.PENDING, StepStatus.UNDOING, StepStatus.WAIVED)


def _our_side(key: str) -> str:
    if outbox_pending(key):
        return "our request has not reached Kafka yet"
    if unhandled(key):
        return "an answer has come and could not be handled here; see parked keys and dead letters"
    return ""


def _sentence(step: SagaStep, why: str) -> str:
    table = {each.name: each for each in steps.STEPS}.get(step.name)
    service = table.service if table else step.name
    wanted = "its answer" if step.status == StepStatus.PENDING else "its word that all is undone"
    return f"{step.name}: {why}" if why else f"{step.name}: no answer from {service} yet; we wait for {wanted}"
