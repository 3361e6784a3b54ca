"""The user service's timers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import shared_task
from celery.schedules import crontab
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from messaging import Expiring, delete_expired
from user_app import selectors, services, sessions

#: Celery drops a tick that no worker took for this long. The next one does its work.
EXPIRES_SECONDS = 300
IDEMPOTENCY_KEYS = Expiring("user_app_idempotencykey", "created_at")

BEAT_SCHEDULE = {
    "user.clean_up": {"task": "user.clean_up", "schedule": 60.0, "options": {"expires": EXPIRES_SECONDS}},
    "user.forget_sessions": {"task": "user.forget_sessions", "schedule": crontab(hour=4, minute=15)},
    "user.republish_users": {"task": "user.republish_users", "schedule": crontab(hour=3, minute=45)},
}
#: An ended session stays visible to staff for so long after its expiry.
KEPT_SESSIONS = timedelta(days=30)
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


@shared_task(name="user.forget_sessions")
def forget_sessions(**kwargs: Any) -> int:
    """Delete sessions that expired long ago, page by page. Two runs are safe."""
    before, count = timezone.now() - KEPT_SESSIONS, 0
    while deleted := sessions.forget_sessions(before=before):
        count += deleted
    return count


@shared_task(name="user.clean_up")
def clean_up() -> int:
    """Delete idempotency keys that are past their retention; return how many."""
    return delete_expired(IDEMPOTENCY_KEYS, timedelta(hours=settings.IDEMPOTENCY_RETENTION_HOURS))
