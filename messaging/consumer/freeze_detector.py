"""Detects a freeze of the whole process (SIGSTOP, a suspended machine): a thread ticks, and a freeze leaves a gap.

It distinguishes an attempt that took too long from one that was only frozen, which is not the event's fault (P8).
"""

from __future__ import annotations

import threading
import time
from collections import deque

TICK_SECONDS = 0.25
#: A gap between two ticks that a busy machine does not make.
FROZEN_SECONDS = 2.0


class Ticker:
    """Records when this process was frozen."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._frozen: deque[float] = deque(maxlen=20)
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
        self._thread.start()

    def was_frozen_since(self, begin: float) -> bool:
        """Return whether the process was frozen at any time since `begin` (of time.monotonic())."""
        return time.monotonic() - self._last > FROZEN_SECONDS or any(until > begin for until in self._frozen)

    def _run(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            if now - self._last > FROZEN_SECONDS:
                self._frozen.append(now)
            self._last = now


_ticker: Ticker | None = None
_lock = threading.Lock()


def ticker() -> Ticker:
    """Return this process's ticker, started at the first call."""
    global _ticker
    with _lock:
        if _ticker is None or not _ticker._thread.is_alive():
            _ticker = Ticker()
        return _ticker
