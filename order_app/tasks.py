"""The order service's timers. Each finds its work in the tables, so a lost Celery message only causes a delay."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from contracts.order import TOPIC
from messaging import Expiring, Reading, ask_readings, delete_expired, end_offsets
from order_app import selectors, services
from order_app.domain import answer_topics, steps

logger = logging.getLogger(__name__)

#: Celery drops a tick that no worker took for this long. Beat's clock writes the time and the worker's clock reads
#: it, so the two clocks must differ by less than this.
EXPIRES_SECONDS = 300

_OPTIONS = {"expires": EXPIRES_SECONDS}

BEAT_SCHEDULE = {
    "order.sweep_deadlines": {"task": "order.sweep_deadlines", "schedule": 5.0, "options": _OPTIONS},
    "order.ask_undo_again": {"task": "order.ask_undo_again", "schedule": 5.0, "options": _OPTIONS},
    "order.clean_up": {"task": "order.clean_up", "schedule": 60.0, "options": _OPTIONS},
}
IDEMPOTENCY_KEYS = Expiring("order_app_idempotencykey", "created_at")


@shared_task(name="order.sweep_deadlines")
def sweep_deadlines() -> int:
    """Cancel overdue sagas, unless the order service's own backlog is the cause; return how many."""
    now = timezone.now()
    if not selectors.list_overdue(now=now, limit=1):
        return 0
    # Read after `now`, so after every deadline that has passed by then.
    offsets = end_offsets(answer_topics())
    readings = _readings()
    return _in_pages(
        now,
        selectors.list_overdue,
        lambda order_ids: services.cancel_overdue(order_ids=order_ids, end_offsets=offsets, readings=readings, now=now),
    )


def _readings() -> dict[str, Reading]:
    try:
        return ask_readings(TOPIC, {step.group: step.service for step in steps.STEPS})
    except (ValueError, struct.error) as error:
        # A member of the group wrote what Kafka's client can't read. Without an answer the deadline works as usual.
        logger.warning("the groups of the participants cannot be read: %r", error)
        return {}


@shared_task(name="order.ask_undo_again")
def ask_undo_again() -> int:
    """Send the undo requests of missing answers again; return for how many sagas."""
    now = timezone.now()
    return _in_pages(
        now, selectors.list_undo_due, lambda order_ids: services.ask_undo_again(order_ids=order_ids, now=now)
    )


@shared_task(name="order.clean_up")
def clean_up() -> int:
    """Delete idempotency keys that are past their retention; return how many."""
    return delete_expired(IDEMPOTENCY_KEYS, timedelta(hours=settings.IDEMPOTENCY_RETENTION_HOURS))


def _in_pages(now: datetime, find: Callable[..., list[UUID]], work: Callable[[list[UUID]], int]) -> int:
    total, after = 0, None
    while order_ids := find(now=now, after=after):
        with transaction.atomic():
            total += work(order_ids)
        after = order_ids[-1]
    return total
