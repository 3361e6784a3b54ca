"""Cancels an order for its customer. `operators` and `timers` have the other ways to cancel."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from order_app.saga_changes import Changes
from order_app.sql import lock_sagas

BY_CUSTOMER = "canceled_by_customer"


def cancel_order(*, order_id: UUID, user_id: UUID, now: datetime | None = None) -> None:
    """Cancel for the customer. Nothing changes if the order is already canceled or does not exist."""
    changes = Changes(now or timezone.now())
    for row in lock_sagas([order_id]).values():
        changes.add(row, row.state.on_cancel(reason=BY_CUSTOMER, actor=str(user_id)), actor="customer")
    changes.update()
