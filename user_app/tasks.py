"""The user service's timers."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.schedules import crontab
from django.db import transaction

from user_app import selectors, services

BEAT_SCHEDULE = {
    "user.republish_users": {"task": "user.republish_users", "schedule": crontab(hour=3, minute=45)},
}
#: Users per transaction while they are published again.
PAGE = 500


@shared_task(name="user.republish_users")
def republish_users(*, raise_versions: bool = False, **kwargs: Any) -> int:
    """Publish every user again, daily, so that rebuilt copies get what compaction removed. Two runs are safe."""
    count = 0
    for user_ids in selectors.list_user_ids(size=PAGE):
        with transaction.atomic():
            count += services.republish_users(user_ids=user_ids, raise_versions=raise_versions)
    return count
