"""Wakes the relay after a commit that recorded events. A hint only: the relay also polls.

Inside the relay's process the wake is a call; from another process it is a PostgreSQL notification. One thread sends
it and combines many wakes into one: NOTIFY takes a cluster-wide lock at commit, so it never runs inside a business
transaction.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connection, transaction

from messaging.database import own_connection
from messaging.signals import event_recorded

CHANNEL = "messaging_outbox"
#: Shortest time between two notifications of one process, in seconds.
THROTTLE_SECONDS = 0.005
#: Wait before a lost connection is opened again, in seconds.
RECONNECT_SECONDS = 1.0

logger = logging.getLogger(__name__)

#: A relay in this process sets this: the call wakes it and returns whether it serves every shard.
local_relay: Callable[[], bool] | None = None


def connect() -> None:
    """Register the wake with the signal of recorded events."""
    event_recorded.connect(on_event_recorded, dispatch_uid="messaging.wake")


def on_event_recorded(**_: object) -> None:
    """Register the wake for after the commit, once per transaction."""
    if not any(entry[1] is wake for entry in connection.run_on_commit):
        transaction.on_commit(wake, robust=True)


def wake() -> None:
    """Wake the relay, here or in another process: the outbox has rows."""
    if local_relay is not None and local_relay():
        return
    _notifier().notify()


class Notifier:
    """A thread with its own connection that combines many wakes into few notifications."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._connection: Any = None
        self._thread = threading.Thread(target=self._run, name="outbox-notifier", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        self._wanted.set()

    def close(self) -> None:
        """End the thread and its connection."""
        self._closing.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._send()
                self._closing.wait(THROTTLE_SECONDS)
            except psycopg2.Error as error:
                logger.warning(
                    "PostgreSQL did not take the notification; the relay finds the rows with its next poll: %s", error
                )
                self._disconnect()
                self._closing.wait(RECONNECT_SECONDS)
        self._disconnect()

    def _send(self) -> None:
        if self._connection is None:
            self._connection = own_connection(application_name=f"{settings.SERVICE_NAME}:wake")
        with self._connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")

    def _disconnect(self) -> None:
        opened, self._connection = self._connection, None
        if opened is not None:
            opened.close()


_started: Notifier | None = None
_lock = threading.Lock()


def _notifier() -> Notifier:
    """Return the notifier of this process; a forked process starts its own."""
    global _started
    with _lock:
        if _started is None or _started.pid != os.getpid():
            _started = Notifier()
        return _started


def close() -> None:
    """End this process's notifier and its connection, so that a test can drop its database; a wake starts another."""
    global _started
    with _lock:
        notifier, _started = _started, None
    if notifier is not None and notifier.pid == os.getpid():
        notifier.close()
