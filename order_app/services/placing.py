"""Places orders: at the prices of our product copies, for active users only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from messaging import new_id
from order_app import selectors
from order_app.domain import (
    Draft,
    Line,
    OrderRefused,
    OrderRequest,
    Outcome,
    Product,
    draft_order,
    start_saga,
)
from order_app.saga_changes import Changes
from order_app.sql import SagaRow


@dataclass(frozen=True)
class PlacedOrder:
    """A new order, in the form that its customer sees."""

    id: UUID
    user_id: UUID
    status: str
    reason: str
    lines: tuple[Line, ...]
    total: Decimal
    discount: Decimal
    currency: str
    coupon_id: UUID | None
    created_at: datetime
    confirmed_at: datetime | None = None
    canceled_at: datetime | None = None
    updated_at: datetime | None = None


class UserInactive(OrderRefused):
    """The user is deactivated and cannot place orders."""

    def __init__(self) -> None:
        super().__init__("user_inactive", "This account is deactivated; ask staff to reactivate it.")


def place_orders(*, requests: Sequence[OrderRequest], now: datetime | None = None) -> list[PlacedOrder]:
    """Place orders, with one statement per table, and return them in the order of `requests`.

    If a request breaks a rule: OrderRefused (or its subclass UserInactive), and no order is placed.
    """
    now = now or timezone.now()
    catalogue = selectors.get_products({line.product_id for request in requests for line in request.lines})
    inactive = selectors.get_inactive_users({request.user_id for request in requests})
    changes = Changes(now)
    for request in requests:
        row, outcome = _start(request, catalogue, inactive, now)
        changes.add(row, outcome, actor="customer")
    changes.insert()
    return [_placed(row) for row in changes.touched.values()]


def place_order(*, request: OrderRequest, now: datetime | None = None) -> PlacedOrder:
    """Place one order. Errors as place_orders()."""
    return place_orders(requests=[request], now=now)[0]


def _start(
    request: OrderRequest, catalogue: dict[UUID, Product], inactive: set[UUID], now: datetime
) -> tuple[SagaRow, Outcome]:
    if request.user_id in inactive:
        raise UserInactive
    draft: Draft = draft_order(request, catalogue)
    state, outcome = start_saga(new_id(), draft)
    deadline = now + timedelta(seconds=settings.SAGA_DEADLINE_SECONDS)
    return SagaRow(state, draft, created_at=now, deadline=deadline), outcome


def _placed(row: SagaRow) -> PlacedOrder:
    return PlacedOrder(
        id=row.id,
        user_id=row.order.user_id,
        status=row.state.order_status,
        reason=row.state.reason,
        lines=row.order.lines,
        total=row.order.total,
        discount=row.state.discount,
        currency=row.order.currency,
        coupon_id=row.order.coupon_id,
        created_at=row.created_at,
    )
