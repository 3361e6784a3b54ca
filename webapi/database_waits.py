"""No request waits for its database longer than it may.

libpq has no limit of its own for reading: a server that stands still (frozen, its disk or its network stuck) keeps a
request for ever, for the kernel goes on acknowledging and so neither keepalives nor timeouts of the role help.
psycopg2's wait callback, used by web processes alone, is where the waiting happens, and where it can end.
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

#: How long one request asks a silent server whether it is back; meanwhile the others are answered at once.
PROBE_SECONDS = 1.0


class DatabaseSilent(OperationalError):
    """The database said nothing for as long as the request may wait. Retryable; what was sent may have been done."""


class Silence:
    """What the threads of a process know of their database: whether it has stopped answering all of them.

    Without it, a few requests that wait would hold every thread, and the health pages and refusals would queue.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered_at = -math.inf
        self._silent = False
        self._probed_until = -math.inf

    def allow(self, now: float, seconds: float) -> float:
        """Return for how long a wait of `seconds` may last; DatabaseSilent while another request asks for all."""
        if not self._silent:
            return seconds
        with self._lock:
            if now < self._probed_until:
                raise DatabaseSilent("the database has stopped answering; another request asks whether it is back")
            self._probed_until = now + PROBE_SECONDS
        return min(seconds, PROBE_SECONDS)

    def noticed(self, *, began: float, now: float) -> None:
        """Take up a wait without an answer. Where others had one meanwhile, it was only a slow statement."""
        if now - began >= PROBE_SECONDS and self._answered_at < began:
            self._silent = True

    def over(self, now: float) -> None:
        """Take up an answer."""
        self._answered_at = now
        self._silent = False


class Waits:
    """The wait callback. A request has `seconds` for all its waits together, any other thread for each of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._silence = Silence()
        self._request = threading.local()

    def begin_request(self, **_: object) -> None:
        """Give the request that this thread has now its time."""
        self._request.left = self.seconds

    def end_request(self, **_: object) -> None:
        """Forget the request."""
        self._request.__dict__.clear()

    def shorten_request(self, seconds: float) -> None:
        """Leave the request no more than `seconds`."""
        self._request.left = min(seconds, self._left())

    def __call__(self, connection: Any) -> None:
        """Wait until the connection has its answer; psycopg2 closes it when this raises."""
        began = time.monotonic()
        end = began + self._silence.allow(began, self._left())
        while (wanted := connection.poll()) != POLL_OK:
            if not _is_ready(connection, wanted, end - time.monotonic()):
                self._give_up(began)
        self._silence.over(self._spend(began))

    def _give_up(self, began: float) -> NoReturn:
        now = self._spend(began)
        self._silence.noticed(began=began, now=now)
        raise DatabaseSilent(f"the database said nothing for {now - began:.1f} s")

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
    # They keep weak references alone.
    request_started.connect(_installed.begin_request, dispatch_uid=__name__)
    request_finished.connect(_installed.end_request, dispatch_uid=__name__)


def stop_limiting() -> None:
    """Let everybody wait for ever again."""
    global _installed
    request_started.disconnect(dispatch_uid=__name__)
    request_finished.disconnect(dispatch_uid=__name__)
    set_wait_callback(None)
    _installed = None


def shorten_request(seconds: float) -> None:
    """Let the request at hand wait for the database no longer than `seconds` from now, where waits are limited."""
    if _installed is not None:
        _installed.shorten_request(seconds)
