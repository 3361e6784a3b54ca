"""Orders are placed: at the prices that we know, for users who may."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
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
from order_app.models import IdempotencyKey
from order_app.saga_changes import Changes
from order_app.sql import SagaRow


@dataclass(frozen=True)
class PlacedOrder:
    """A new order, as its customer sees it."""

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


class UserInactive(OrderRefused):
    """The user was deactivated and orders no more."""

    def __init__(self) -> None:
        super().__init__("user_inactive", "This account is deactivated.")


class KeyReused(OrderRefused):
    """The idempotency key stands for another request."""

    def __init__(self) -> None:
        super().__init__("idempotency_key_reused", "This Idempotency-Key was used for another body; take a new one.")


@dataclass(frozen=True)
class Key:
    """What makes a request of a user repeatable: the client's key, and the hash of the body that it stands for."""

    user_id: UUID
    text: str
    body_hash: str


def place_orders(*, requests: Sequence[OrderRequest], now: datetime | None = None) -> list[PlacedOrder]:
    """Place orders, a statement per table for all of them, and return them in the order of `requests`.

    OrderRefused (UserInactive among them) for the first that breaks a rule; then none is placed.
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


def place_order_once(
    *, request: OrderRequest, key: Key, render: Callable[[PlacedOrder], dict[str, Any]], now: datetime | None = None
) -> dict[str, Any]:
    """Place the order unless `key` has done so before; return the first answer, as `render` made it then.

    KeyReused when the key stands for another body; else errors as place_orders(). A refused order leaves the key free.
    """
    now = now or timezone.now()
    while not _claim(key, now):
        # The key may have expired in between; then it is free again.
        if (first := _first_response(key)) is not None:
            return first
    response = render(place_order(request=request, now=now))
    _keep_response(key, response)
    return response


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


def _claim(key: Key, now: datetime) -> bool:
    # Of two requests at once, the second waits here for the first to commit or to roll back.
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO order_app_idempotencykey (user_id, key, body_hash, created_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (user_id, key) DO NOTHING RETURNING id",
            [key.user_id, key.text, key.body_hash, now],
        )
        return cursor.fetchone() is not None


def _keep_response(key: Key, response: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE order_app_idempotencykey SET response = %s::jsonb WHERE user_id = %s AND key = %s",
            [json.dumps(response), key.user_id, key.text],
        )


def _first_response(key: Key) -> dict[str, Any] | None:
    first = IdempotencyKey.objects.filter(user_id=key.user_id, key=key.text).first()
    if first is None:
        return None
    if first.body_hash != key.body_hash:
        raise KeyReused
    response: dict[str, Any] = first.response
    return response
