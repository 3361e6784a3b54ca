"""What the clock starts in every service: events of parked keys are tried again."""

from __future__ import annotations

from celery import shared_task

from messaging.drain import drain_due

BEAT_SCHEDULE = {
    "messaging.retry_parked": {"task": "messaging.retry_parked", "schedule": 1.0, "options": {"expires": 2}},
}


@shared_task(name="messaging.retry_parked")  # type: ignore[untyped-decorator]
def retry_parked() -> int:
    """Try what is due of parked keys; return how many events ended. A lost message only delays."""
    return drain_due()
