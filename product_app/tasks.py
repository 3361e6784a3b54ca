"""The product service's timers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import shared_task
from celery.schedules import crontab
from django.conf import settings
from django.db import transaction

from messaging import Expiring, delete_expired
from product_app import selectors, services

#: Celery drops a tick that no worker took for this long. The next one does its work.
EXPIRES_SECONDS = 300
IDEMPOTENCY_KEYS = Expiring("product_app_idempotencykey", "created_at")

BEAT_SCHEDULE = {
    "product.clean_up": {"task": "product.clean_up", "schedule": 60.0, "options": {"expires": EXPIRES_SECONDS}},
    "product.republish_catalog": {"task": "product.republish_catalog", "schedule": crontab(hour=3, minute=30)},
}


@shared_task(name="product.republish_catalog")
def republish_catalog(**_: Any) -> int:
    """Publish every product again, a page per transaction. Two runs at the same time are safe."""
    announced = 0
    for product_ids in selectors.list_product_ids():
        with transaction.atomic():
            announced += services.announce_products(product_ids=product_ids)
    return announced


@shared_task(name="product.clean_up")
def clean_up() -> int:
    """Delete idempotency keys that are past their retention; return how many."""
    return delete_expired(IDEMPOTENCY_KEYS, timedelta(hours=settings.IDEMPOTENCY_RETENTION_HOURS))
