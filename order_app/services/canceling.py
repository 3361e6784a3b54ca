"""An order is canceled by its customer; operators and timers cancel in `operators` and `timers`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from order_app.saga_changes import Changes
from order_app.sql import lock_sagas

BY_CUSTOMER = "canceled_by_customer"


def cancel_order(*, order_id: UUID, user_id: UUID, now: datetime | None = None) -> None:
    """Cancel for the customer; nothing changes when the order is canceled already, or is not there."""
    changes = Changes(now or timezone.now())
    for row in lock_sagas([order_id]).values():
        changes.add(row, row.state.on_cancel(reason=BY_CUSTOMER, actor=str(user_id)), actor="customer")
    changes.update()
