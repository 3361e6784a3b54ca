"""A relay, a consumer, a drain or a repartition in a process of its own, so that it can be frozen and killed.

`python -m tests.messaging.process relay|consumer|drain|repartition [failpoint]`; `Process` starts it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import psutil

from tests.messaging import forkserver

WAIT_SECONDS = 30


class Process:
    """A child that runs `role` on the test's own database and topics, with `messaging` settings of its own."""

    def __init__(self, role: str, failpoint: str, group: str, database_port: int, messaging: dict[str, Any]) -> None:
        from django.conf import settings
        from django.db import connection

        run = settings.SAMPLE_TOPIC.rsplit(".", 1)[1]
        environment = {
            **os.environ,
            "SAMPLE_RUN": run,
            "SAMPLE_GROUP": group or settings.SAMPLE_GROUP,
            "SAMPLE_DATABASE": connection.settings_dict["NAME"],
            "SAMPLE_DATABASE_PORT": str(database_port or connection.settings_dict["PORT"]),
            "SAMPLE_MESSAGING": json.dumps({"BOOTSTRAP_SERVERS": settings.MESSAGING["BOOTSTRAP_SERVERS"]} | messaging),
        }
        self._child = forkserver.start("tests.messaging.process", role, failpoint, environment=environment)

    def freeze(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def resident_megabytes(self) -> float:
        """Return how much memory the child holds."""
        return float(psutil.Process(self._child.pid).memory_info().rss) / 2**20

    def is_frozen(self) -> bool:
        return Path(f"/proc/{self._child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def wait_killed(self) -> None:
        """Wait for the child to die of SIGKILL; anything else fails the test."""
        assert self._child.wait(WAIT_SECONDS) == -signal.SIGKILL

    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def kill(self) -> None:
        self._child.kill()
        self._child.wait(WAIT_SECONDS)


@contextmanager
def process(
    role: str, failpoint: str = "", *, group: str = "", database_port: int = 0, **messaging: Any
) -> Iterator[Process]:
    """Run a Process for the length of a with block."""
    child = Process(role, failpoint, group, database_port, messaging)
    try:
        yield child
    finally:
        child.kill()


def main(role: str, failpoint: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.messaging.settings")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from messaging.consumer.loop import Consumer
    from messaging.consumer.retry_parked import retry_due
    from messaging.outbox.relay import Relay
    from tests.messaging import failpoints

    if failpoint:
        failpoints.set_up(failpoint)
    if role == "relay":
        Relay().run()
    elif role == "drain":
        while True:
            retry_due()
            time.sleep(0.05)
    elif role == "repartition":
        call_command("repartition", settings.SAMPLE_TOPIC, "7", "--timeout", "600", "--reason", "tried")
    else:
        Consumer(settings.SAMPLE_GROUP, [settings.SAMPLE_TOPIC, settings.SAMPLE_UNORDERED]).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
