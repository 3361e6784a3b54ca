"""The library's timers, run by every service's workers. Each is safe to run twice at once."""

from __future__ import annotations

from celery import shared_task

from messaging import retention

BEAT_SCHEDULE = {
    "messaging.clean_up": {"task": "messaging.clean_up", "schedule": 60.0, "options": {"expires": 60}},
}


@shared_task(name="messaging.clean_up")  # type: ignore[untyped-decorator]
def clean_up() -> int:
    """Let inbox rows leave that are past their retention; return how many did. What is left, the next run takes."""
    return retention.clean_inbox()
