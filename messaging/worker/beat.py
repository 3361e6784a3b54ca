"""The scheduler of the periodic tasks: Celery's, but it continues when the clock is set back.

Celery counts an interval from the clock time of a task's last run, and stores that time in a file. After a jump of one
hour back, no task would run for an hour, even after a restart: no parked key would be retried, no saga canceled.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    """Celery's scheduler; an entry whose last run lies in the future counts as run just now."""

    _lock: IO[str] | None = None

    def setup_schedule(self) -> None:
        """Open the schedule's file; SystemExit when another beat has it: each would undo what the other writes."""
        path = Path(f"{self.schedule_filename}.lock")
        self._lock = path.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(
                f"another celery beat uses {self.schedule_filename}: stop it, or give this one a file of its own (-s)"
            ) from None
        super().setup_schedule()

    def close(self) -> None:
        """Write the schedule and let another beat have its file."""
        super().close()
        if self._lock is not None:
            self._lock.close()

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
