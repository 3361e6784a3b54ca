"""The coupon service's timers. A coupon expires by the clock: no timer changes its row."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from messaging import Expiring, delete_expired

#: Celery drops a tick that no worker took for this long. The next one does its work.
EXPIRES_SECONDS = 300
IDEMPOTENCY_KEYS = Expiring("coupon_app_idempotencykey", "created_at")

BEAT_SCHEDULE = {
    "coupon.clean_up": {"task": "coupon.clean_up", "schedule": 60.0, "options": {"expires": EXPIRES_SECONDS}},
}


@shared_task(name="coupon.clean_up")
def clean_up() -> int:
    """Delete idempotency keys that are past their retention; return how many."""
    return delete_expired(IDEMPOTENCY_KEYS, timedelta(hours=settings.IDEMPOTENCY_RETENTION_HOURS))
