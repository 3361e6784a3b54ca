"""Timers of every project that belong to no app."""

from __future__ import annotations

from celery import shared_task
from celery.schedules import crontab
from django.core.management import call_command

BEAT_SCHEDULE = {
    "config.clear_sessions": {"task": "config.clear_sessions", "schedule": crontab(hour=4, minute=15)},
}


@shared_task(name="config.clear_sessions")  # type: ignore[untyped-decorator]
def clear_sessions() -> None:
    """Delete the admin's sessions that have expired. Safe to run twice at once."""
    call_command("clearsessions")
