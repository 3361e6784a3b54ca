"""Celery's own consumer of tasks, which survives a Redis that answers but refuses to write.

Celery waits for a broker that is away. But a refusal (READONLY after a failover, NOREPLICAS, OOM) is for Celery an
error of a channel, which ends the worker, and with it the Kafka consumer and the relay, which need no Redis.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.state import maybe_shutdown
from kombu.exceptions import OperationalError

from messaging.backoff import Backoff

logger = logging.getLogger(__name__)

#: Delays between two attempts, in seconds. Celery's own delays are for a broker that cannot be reached.
BACKOFF = Backoff(1.0, 10.0)
#: Celery's workers need not know each other. Without the search for neighbors, a worker starts a second sooner; without
#: gossip, a worker at rest does not read what each of the others says of itself.
APART = {"without_mingle": True, "without_gossip": True}
#: Longest time until a waiting consumer notices that the worker is to stop, in seconds.
LOOK_SECONDS = 0.2


class Consumer(CeleryConsumer):
    """Celery's consumer; any error of the broker makes it connect again, after a delay."""

    connection_errors: tuple[type[BaseException], ...]

    def __init__(self, *arguments: Any, worker_options: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(*arguments, worker_options={**(worker_options or {}), **APART}, **options)
        self.connection_errors = (*self.connection_errors, *self.channel_errors, OperationalError)
        self._delay = 0.0
        self._failed_at = 0.0

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log it, as Celery does, then wait: this is also where a refusal during a later attempt ends up."""
        super().on_connection_error_before_connected(exc)
        self._rest(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Release the connection, as Celery does, then wait: a broker that refuses can be reached at once."""
        super().on_connection_error_after_connected(exc)
        self._rest(exc)

    def _rest(self, error: Exception) -> None:
        if time.monotonic() - self._failed_at > 2 * BACKOFF.cap:
            self._delay = 0.0
        self._delay = BACKOFF.after(self._delay)
        logger.warning(
            "Celery's broker failed; timers stand still, Kafka's events do not. Next try in %.0f s: %r",
            self._delay,
            error,
        )
        self._wait(self._delay)
        self._failed_at = time.monotonic()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            maybe_shutdown()
            time.sleep(LOOK_SECONDS)
