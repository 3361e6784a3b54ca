"""The clock of the scheduled tasks: Celery's, but it goes on when the time of day is set back.

Celery counts an interval from the time of day at which a task ran last, and keeps that time in its file. After a jump
of an hour back, nothing would run for an hour, nor after a restart: no parked key would be tried, no saga canceled.
"""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    """Celery's scheduler with entries that ran in the future taken for such as ran just now."""

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
