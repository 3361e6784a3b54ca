"""A real Celery worker of the sample's project, which hosts the consumer and the relay as a service's worker does.

`python -m tests.messaging.worker FAULT worker …` is `celery worker …` with a thread that dies, where FAULT names one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django

from tests.messaging import forkserver
from tests.messaging.waiting import eventually

STOP_SECONDS = 30
#: Variable that makes a stopping worker which hangs end sooner than in production.
STOP = "SAMPLE_STOP_SECONDS"
CELERY = ["-A", "config.celery", "worker", "--pool", "threads", "--concurrency", "1", "--loglevel", "INFO"]


class Worker:
    """A worker on the test's own database and topics; what it writes goes to `output`."""

    def __init__(self, output: Path, group: str, fault: str, options: tuple[str, ...], own: dict[str, str]) -> None:
        self._output = output
        arguments = [fault, *CELERY, "-n", f"{group}@%h", *options]
        with output.open("wb") as file:
            self.child = forkserver.start(
                "tests.messaging.worker", *arguments, environment=os.environ | own, output=file.fileno()
            )

    @property
    def said(self) -> str:
        return self._output.read_text(errors="replace")

    def wait_ready(self) -> None:
        """Wait until Celery says that it takes tasks; the steps have started by then."""
        eventually(lambda: " ready." in self.said or self.child.poll() is not None, 60)
        assert self.child.poll() is None, self.said

    def end(self, signal: int | None = None) -> int:
        """Send the signal, if any, and return the exit code."""
        if signal is not None:
            self.child.send_signal(signal)
        return self.child.wait(STOP_SECONDS)


def variables(group: str, *, database_port: int = 0, **messaging: Any) -> dict[str, str]:
    """Return what lets another process of the sample's project share the test's database and topics."""
    from django.conf import settings
    from django.db import connection

    return {
        "DJANGO_SETTINGS_MODULE": "tests.messaging.settings",
        "SAMPLE_RUN": settings.SAMPLE_TOPIC.rsplit(".", 1)[1],
        "SAMPLE_GROUP": group,
        "SAMPLE_DATABASE": connection.settings_dict["NAME"],
        "SAMPLE_DATABASE_PORT": str(database_port or connection.settings_dict["PORT"]),
        "SAMPLE_MESSAGING": json.dumps({"BOOTSTRAP_SERVERS": settings.MESSAGING["BOOTSTRAP_SERVERS"]} | messaging),
    }


@contextmanager
def worker(
    output: Path,
    group: str,
    *options: str,
    fault: str = "none",
    database_port: int = 0,
    environment: dict[str, str] | None = None,
    **messaging: Any,
) -> Iterator[Worker]:
    """Run a Worker for the length of a with block, with `messaging` settings and environment variables of its own."""
    own = variables(group, database_port=database_port, **messaging) | (environment or {})
    running = Worker(output, group, fault, options, own)
    try:
        yield running
    finally:
        running.child.kill()
        running.child.wait(STOP_SECONDS)


def _die(self: Any) -> None:
    raise ZeroDivisionError("a bug in the thread itself")


def _hang(self: Any, *arguments: Any, **named: Any) -> None:
    threading.Event().wait()


def main(fault: str) -> None:
    django.setup()
    from celery.__main__ import main as celery
    from kafka import KafkaConsumer, KafkaProducer

    from messaging.consumer import retries
    from messaging.consumer.loop import Consumer
    from messaging.outbox.relay import Relay
    from messaging.worker import bootsteps

    faults: dict[str, tuple[Any, str, Any]] = {
        "consumer": (Consumer, "run", _die),
        "relay": (Relay, "run", _die),
        "hung poll": (KafkaConsumer, "poll", _hang),
        "hung offset commit": (KafkaConsumer, "commit_async", _hang),
        "hung flush": (KafkaProducer, "flush", _hang),
        "hung drain": (retries, "attempt", _hang),
    }
    bootsteps.STOP_SECONDS = int(os.environ.get(STOP, bootsteps.STOP_SECONDS))
    bootsteps.JOIN_SECONDS = min(bootsteps.JOIN_SECONDS, bootsteps.STOP_SECONDS - 3.0)
    if fault in faults:
        setattr(*faults[fault])
    celery()


if __name__ == "__main__":
    main(sys.argv.pop(1))
