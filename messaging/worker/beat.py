"""The scheduler of the periodic tasks: Celery's, but it continues when the clock is set back.

Celery counts an interval from the clock time of a task's last run, and stores that time in a file. After a jump of one
hour back, no task would run for an hour, even after a restart: no parked key would be retried, no saga canceled.
"""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    """Celery's scheduler; an entry whose last run lies in the future counts as run just now."""

    def tick(self, **options: Any) -> float:
        """Run what is due; return the seconds until the next look."""
        self._come_back()
        interval: float = super().tick(**options)
        return interval

    def _come_back(self) -> None:
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at > now:
                entry.last_run_at = now
                self._heap = None  # it holds the times at which the entries would have been due
