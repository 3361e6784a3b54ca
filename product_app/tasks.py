"""The product service's timers."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.schedules import crontab
from django.db import transaction

from product_app import selectors, services

BEAT_SCHEDULE = {
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
