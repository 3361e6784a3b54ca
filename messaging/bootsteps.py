"""Celery hosts the Kafka consumer and the outbox relay as steps of its worker.

They stand on the worker's blueprint: the consumer's blueprint starts anew whenever Celery's own broker blinks, and
the Kafka group would rebalance each time. The threads are daemons with a bounded join; one that dies takes the
worker with it, so that no worker looks healthy while it consumes nothing.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from functools import cache
from typing import Any

import click
from celery import Celery, bootsteps
from django.conf import settings

from messaging.conf import conf
from messaging.liveness import LivenessFile
from messaging.presence import Presence

logger = logging.getLogger(__name__)

JOIN_SECONDS = 15.0
EXIT_THREAD_DIED = 70


def install(app: Celery) -> None:
    """Add the steps and their command-line options to `celery worker`."""
    app.user_options["worker"].add(
        click.Option(["--consumer-group"], default=None, help="Kafka consumer group to be in (default: the first).")
    )
    app.user_options["worker"].add(click.Option(["--no-consumer"], is_flag=True, help="Host no Kafka consumer."))
    app.user_options["worker"].add(click.Option(["--no-relay"], is_flag=True, help="Host no outbox relay."))
    app.steps["worker"].add(ConsumerStep)
    app.steps["worker"].add(RelayStep)


class ThreadStep(bootsteps.StartStopStep):
    """A thread that lives as long as the worker."""

    requires = {"celery.worker.components:Pool"}
    title = ""

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.options = options
        self.runner: Any = None
        self.thread: threading.Thread | None = None

    def make_runner(self) -> Any:
        """Build what has run() and stop(); called in the worker's own process."""
        raise TypeError(f"{type(self).__name__} must say what it runs")

    def start(self, parent: Any) -> None:
        freeze_what_stays()
        self.runner = self.make_runner()
        liveness_file().expect(self.title)
        self.thread = threading.Thread(target=self._run, name=self.title, daemon=True)
        self.thread.start()
        threading.Thread(target=self._watch, name=f"{self.title}-watch", daemon=True).start()

    def _watch(self) -> None:
        """End the worker when its thread makes no progress: a client's call may hang beyond its own timeout.

        Ticks of this thread are counted, not the clock: after a freeze of the whole process none are missing.
        """
        seen, silent = 0.0, 0
        while self.thread is not None and self.thread.is_alive():
            time.sleep(1)
            silent = silent + 1 if self.runner.progress == seen else 0
            seen = self.runner.progress
            if silent == 0:
                liveness_file().progressed(self.title)
            if silent > conf().hang_seconds:
                logger.critical("the %s made no progress for %s s: the worker ends", self.title, silent)
                os._exit(EXIT_THREAD_DIED)

    def _run(self) -> None:
        try:
            self.runner.run()
        except BaseException:
            logger.critical("the %s died, and the worker with it", self.title, exc_info=True)
            os._exit(EXIT_THREAD_DIED)

    def stop(self, parent: Any) -> None:
        if self.thread is not None:
            self.runner.stop()
            self.thread.join(JOIN_SECONDS)

    def terminate(self, parent: Any) -> None:
        self.stop(parent)

    def info(self, parent: Any) -> dict[str, Any]:
        return {self.title: {"alive": bool(self.thread and self.thread.is_alive())}}


@cache
def liveness_file() -> LivenessFile:
    """Return this process's file; it writes nothing where the setting names none."""
    return LivenessFile(conf().liveness_file)


def freeze_what_stays() -> None:
    """Keep the garbage collector from walking what lives as long as the process: it took a fifth of a batch's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class ConsumerStep(ThreadStep):
    """Hosts the Kafka consumer of one group."""

    name = "messaging.consumer"
    title = "kafka-consumer"

    def __init__(self, parent: Any, no_consumer: bool = False, **options: Any) -> None:
        super().__init__(parent, **options)
        self.enabled = not no_consumer

    def make_runner(self) -> Any:
        from messaging.consumer import Consumer

        group = self.options.get("consumer_group") or next(iter(conf().groups))
        if group not in conf().groups:
            raise SystemExit(
                f"{settings.SERVICE_NAME} has no consumer group {group!r}; it has {', '.join(conf().groups)}"
            )
        return Consumer(group, conf().groups[group])

    def start(self, parent: Any) -> None:
        super().start(parent)
        threading.Thread(target=Presence(self.runner).run, name="presence", daemon=True).start()


class RelayStep(ThreadStep):
    """Hosts the outbox relay."""

    name = "messaging.relay"
    title = "outbox-relay"

    def __init__(self, parent: Any, no_relay: bool = False, **options: Any) -> None:
        super().__init__(parent, **options)
        self.enabled = not no_relay

    def make_runner(self) -> Any:
        from messaging.relay import Relay

        return Relay()
