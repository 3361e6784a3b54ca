"""A file whose age tells from outside how long the slowest of a worker's threads has made no progress.

An orchestrator's probe looks at the age alone, so it needs neither the worker nor a network to answer.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

logger = logging.getLogger(__name__)


class LivenessFile:
    """Touched each time when all threads that are expected to have made progress have done so since the last time."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._waiting: set[str] = set()
        self._expected: set[str] = set()
        self._lock = threading.Lock()

    def expect(self, thread: str) -> None:
        """Wait for this thread's progress too from now on. OSError when the file can't be written."""
        with self._lock:
            self._expected.add(thread)
            self._waiting.add(thread)
            self._touch()

    def progressed(self, thread: str) -> None:
        """Note that the thread made progress. A file that can't be touched grows old, which is what it is for."""
        with self._lock:
            self._waiting.discard(thread)
            if self._waiting:
                return
            self._waiting = set(self._expected)
            try:
                self._touch()
            except OSError as error:
                logger.error("the liveness file can't be touched: %s", error)

    def _touch(self) -> None:
        if self._path is not None:
            self._path.touch()
