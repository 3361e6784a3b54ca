"""Limits how long a request waits for its database.

libpq has no read timeout. A frozen server (also a stuck disk or network) can block a request forever: its kernel still
acknowledges, so neither keepalives nor the role's timeouts end the wait. psycopg2's wait callback can end it; only web
processes use it.
"""

from __future__ import annotations

import math
import select
import threading
import time
from typing import Any, NoReturn

from django.core.signals import request_finished, request_started
from psycopg2 import OperationalError
from psycopg2.extensions import POLL_OK, POLL_READ, set_wait_callback

#: How long one request probes a silent server. Meanwhile the other requests fail immediately.
PROBE_SECONDS = 1.0


class DatabaseSilent(OperationalError):
    """The database did not answer within the request's time. Retryable; a sent statement may have had its effect."""


class Silence:
    """Shared by the threads of a process: whether the database has stopped answering all of them.

    Without it, a few waiting requests would occupy every thread, and health checks would wait too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered_at = -math.inf
        self._silent = False
        self._probed_until = -math.inf

    def allow(self, now: float, seconds: float) -> float:
        """Return how long a wait of `seconds` may last. DatabaseSilent while another request probes the database."""
        if not self._silent:
            return seconds
        with self._lock:
            if now < self._probed_until:
                raise DatabaseSilent("the database does not answer; another request is already probing it")
            self._probed_until = now + PROBE_SECONDS
        return min(seconds, PROBE_SECONDS)

    def noticed(self, *, began: float, now: float) -> None:
        """Record a wait without an answer. If other threads got answers meanwhile, it was only a slow statement."""
        if now - began >= PROBE_SECONDS and self._answered_at < began:
            self._silent = True

    def over(self, now: float) -> None:
        """Record an answer."""
        self._answered_at = now
        self._silent = False


class Waits:
    """The wait callback. A request has `seconds` for all its waits together; another thread has them for each wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._silence = Silence()
        self._request = threading.local()

    def begin_request(self, **_: object) -> None:
        """Start the time of the request in this thread."""
        self._request.left = self.seconds

    def end_request(self, **_: object) -> None:
        """End the time of the request."""
        self._request.__dict__.clear()

    def shorten_request(self, seconds: float) -> None:
        """Limit the request's remaining time to `seconds`."""
        self._request.left = min(seconds, self._left())

    def __call__(self, connection: Any) -> None:
        """Wait until the connection has its answer. If this raises, psycopg2 closes the connection."""
        began = time.monotonic()
        end = began + self._silence.allow(began, self._left())
        while (wanted := connection.poll()) != POLL_OK:
            if not _is_ready(connection, wanted, end - time.monotonic()):
                self._give_up(began)
        self._silence.over(self._spend(began))

    def _give_up(self, began: float) -> NoReturn:
        now = self._spend(began)
        self._silence.noticed(began=began, now=now)
        raise DatabaseSilent(f"the database did not answer for {now - began:.1f} s")

    def _spend(self, began: float) -> float:
        now = time.monotonic()
        if hasattr(self._request, "left"):
            self._request.left -= now - began
        return now

    def _left(self) -> float:
        return float(getattr(self._request, "left", self.seconds))


def _is_ready(connection: Any, wanted: int, seconds: float) -> bool:
    # Not select(), which takes no file descriptor above 1,023. While it connects, the descriptor may change.
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN if wanted == POLL_READ else select.POLLOUT)
    return bool(poll.poll(max(0.0, seconds) * 1000))


_installed: Waits | None = None


def limit_waits(*, seconds: float) -> None:
    """Let each request of this process wait `seconds` for its database, all its statements together."""
    global _installed
    _installed = Waits(seconds)
    set_wait_callback(_installed)
    # Signals keep only weak references.
    request_started.connect(_installed.begin_request, dispatch_uid=__name__)
    request_finished.connect(_installed.end_request, dispatch_uid=__name__)


def stop_limiting() -> None:
    """Remove the limit."""
    global _installed
    request_started.disconnect(dispatch_uid=__name__)
    request_finished.disconnect(dispatch_uid=__name__)
    set_wait_callback(None)
    _installed = None


def shorten_request(seconds: float) -> None:
    """Limit the current request's waits to `seconds` from now, if this process limits waits."""
    if _installed is not None:
        _installed.shorten_request(seconds)
