"""The library's timers, run by every service's workers. Each is safe to run twice at once."""

from __future__ import annotations

from celery import shared_task

from messaging.consumer.retry_parked import retry_due
from messaging.retention import cleanup

#: A task that no worker took for so many seconds is discarded. Beat's clock writes the time and the worker's clock
#: reads it: the two may differ by less than this.
EXPIRES_SECONDS = 300

_OPTIONS = {"expires": EXPIRES_SECONDS}

BEAT_SCHEDULE = {
    "messaging.retry_parked": {"task": "messaging.retry_parked", "schedule": 1.0, "options": _OPTIONS},
    "messaging.clean_up": {"task": "messaging.clean_up", "schedule": 60.0, "options": _OPTIONS},
}


@shared_task(name="messaging.retry_parked")  # type: ignore[untyped-decorator]
def retry_parked() -> int:
    """Retry due events of parked keys; return how many ended. A lost task only delays."""
    return retry_due()


@shared_task(name="messaging.clean_up")  # type: ignore[untyped-decorator]
def clean_up() -> int:
    """Delete inbox rows and resolved dead letters past their retention; return how many. The next run goes on."""
    return cleanup.clean_inbox() + cleanup.clean_dead_letters()
