"""The liveness file: its age shows how long the slowest thread of a worker has made no progress.

An orchestrator's probe reads only the age, so it needs no answer from the worker or a network.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

logger = logging.getLogger(__name__)


class LivenessFile:
    """Touched whenever every expected thread has made progress since the last touch."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._waiting: set[str] = set()
        self._expected: set[str] = set()
        self._lock = threading.Lock()

    def expect(self, thread: str) -> None:
        """Expect progress of this thread from now on. OSError when the file cannot be written."""
        with self._lock:
            self._expected.add(thread)
            self._waiting.add(thread)
            self._touch()

    def progressed(self, thread: str) -> None:
        """Record that the thread made progress. A file that cannot be touched grows old, and the probe reports it."""
        with self._lock:
            self._waiting.discard(thread)
            if self._waiting:
                return
            self._waiting = set(self._expected)
            try:
                self._touch()
            except OSError as error:
                logger.error("the worker cannot write the liveness file: %s", error)

    def _touch(self) -> None:
        if self._path is not None:
            self._path.touch()
