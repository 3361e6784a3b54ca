"""The library's timers, run by every service's workers. Each is safe to run twice at once."""

from __future__ import annotations

from celery import shared_task

from messaging.consumer.retry_parked import drain_due
from messaging.retention import cleanup

#: A tick that nobody took for so long is thrown away. Beat writes the time, the worker's clock reads it: two clocks
#: may differ by less than this.
EXPIRES_SECONDS = 300

_OPTIONS = {"expires": EXPIRES_SECONDS}

BEAT_SCHEDULE = {
    "messaging.retry_parked": {"task": "messaging.retry_parked", "schedule": 1.0, "options": _OPTIONS},
    "messaging.clean_up": {"task": "messaging.clean_up", "schedule": 60.0, "options": _OPTIONS},
}


@shared_task(name="messaging.retry_parked")  # type: ignore[untyped-decorator]
def retry_parked() -> int:
    """Try what is due of parked keys; return how many events ended. A lost message only delays."""
    return drain_due()


@shared_task(name="messaging.clean_up")  # type: ignore[untyped-decorator]
def clean_up() -> int:
    """Let inbox rows leave that are past their retention; return how many did. What is left, the next run takes."""
    return cleanup.clean_inbox()
