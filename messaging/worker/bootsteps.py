"""Celery hosts the Kafka consumer and the outbox relay as steps of its worker.

They stand on the worker's blueprint: the consumer's blueprint starts anew whenever Celery's own broker blinks, and
the Kafka group would rebalance each time. The threads are daemons with a bounded join; one that dies takes the
worker with it, so that no worker looks healthy while it consumes nothing. A worker that is told to stop ends what it
has in hand; what hangs then (a server that was frozen) is left behind: nothing that counts is in its memory.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import click
from celery import Celery, bootsteps
from celery.signals import worker_shutting_down
from django.conf import settings

from messaging.conf import conf
from messaging.errors import MessagingError
from messaging.worker.live_workers import Presence
from messaging.worker.liveness import LivenessFile

logger = logging.getLogger(__name__)

#: Longest time, in seconds, that the threads together have to end what is in hand and to say goodbye.
JOIN_SECONDS = 15.0
#: Seconds after which a worker that was told to stop ends, whatever hangs. Less than its supervisor's patience.
STOP_SECONDS = 18
EXIT_THREAD_DIED = 70
#: The settings do not fit what the broker says.
EXIT_REFUSED = 78
EXIT_BY_FORCE = 71


def install(app: Celery) -> None:
    """Add the steps and their command-line options to `celery worker`, and our clock to `celery beat`."""
    app.conf.beat_scheduler = "messaging.worker.beat:Scheduler"
    app.user_options["worker"].add(
        click.Option(["--consumer-group"], default=None, help="Kafka consumer group to be in (default: the first).")
    )
    app.user_options["worker"].add(click.Option(["--no-consumer"], is_flag=True, help="Host no Kafka consumer."))
    app.user_options["worker"].add(click.Option(["--no-relay"], is_flag=True, help="Host no outbox relay."))
    app.steps["worker"].add(ConsumerStep)
    app.steps["worker"].add(RelayStep)
    app.steps["worker"].add(RetentionStep)
    app.steps["worker"].add(DeadlineStep)
    app.steps["worker"].add(DrainStep)


class DeadlineStep(bootsteps.StartStopStep):
    """Ends a worker that was told to stop and can't: a task may wait for ever for a server that was frozen."""

    name = "messaging.deadline"
    requires = {"celery.worker.components:Pool"}

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.told = False

    def start(self, parent: Any) -> None:
        worker_shutting_down.connect(self._on_commit, weak=False)
        threading.Thread(target=self._watch, name="stop-watch", daemon=True).start()

    def _on_commit(self, **_: Any) -> None:
        self.told = True

    def _watch(self) -> None:
        """Count ticks of this thread, not the clock: a freeze of the whole process takes nothing from its time."""
        ticks = 0
        while ticks < STOP_SECONDS:
            time.sleep(1)
            ticks += self.told
        logger.critical("the worker was told to stop %s s ago and hangs: it ends by force", STOP_SECONDS)
        os._exit(EXIT_BY_FORCE)

    def stop(self, parent: Any) -> None:
        """Celery asks each step; this one only watches."""


def seconds_without_progress(progress: Callable[[], object]) -> Iterator[int]:
    """Yield each second for how long `progress()` has given the same; 0 while it gives None.

    Ticks of the watching thread are counted, not the clock: after a freeze of the whole process none are missing.
    """
    seen, silent = None, 0
    while True:
        time.sleep(1)
        now = progress()
        silent = silent + 1 if now is not None and now == seen else 0
        seen = now
        yield silent


def end_if_too_long(title: str, silent: int) -> None:
    """End the worker when what `title` names has made no progress for so many seconds."""
    if silent > conf().hang_seconds:
        logger.critical("the %s made no progress for %s s: the worker ends", title, silent)
        os._exit(EXIT_THREAD_DIED)


class DrainStep(bootsteps.StartStopStep):
    """Ends a worker whose drain hangs at an event: while it does, this process tries no parked key again."""

    name = "messaging.drain"
    requires = {"celery.worker.components:Pool"}

    def start(self, parent: Any) -> None:
        threading.Thread(target=self._watch, name="drain-watch", daemon=True).start()

    def _watch(self) -> None:
        from messaging.consumer import retry_parked

        for silent in seconds_without_progress(retry_parked.progress):
            end_if_too_long("drain of parked keys", silent)

    def stop(self, parent: Any) -> None:
        """Celery asks each step; this one only watches."""


class ThreadStep(bootsteps.StartStopStep):
    """A thread of the worker; all but those that are not `endless` live as long as it does."""

    requires = {"celery.worker.components:Pool"}
    title = ""
    endless = True

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.options = options
        self.runner: Any = None
        self.thread: threading.Thread | None = None
        self.told_at: float | None = None

    def make_runner(self) -> Any:
        """Build what has run() and stop(); called in the worker's own process."""
        raise TypeError(f"{type(self).__name__} must say what it runs")

    def start(self, parent: Any) -> None:
        freeze_what_stays()
        self.runner = self.make_runner()
        if self.endless:
            liveness_file().expect(self.title)
        self.thread = threading.Thread(target=self._run, name=self.title, daemon=True)
        self.thread.start()
        threading.Thread(target=self._watch, name=f"{self.title}-watch", daemon=True).start()
        worker_shutting_down.connect(self._on_commit, weak=False)

    def _on_commit(self, **_: Any) -> None:
        """Begin to end with the signal: Celery may first wait for its own broker. Runs in the signal handler."""
        if self.told_at is None:  # a second signal may interrupt the first one's handler
            self.told_at = time.monotonic()
            self.runner.stop()

    def _watch(self) -> None:
        """End the worker when its thread makes no progress: a client's call may hang beyond its own timeout."""
        for silent in seconds_without_progress(lambda: self.runner.progress):
            if self.thread is None or not self.thread.is_alive():
                return
            if silent == 0:
                liveness_file().progressed(self.title)
            end_if_too_long(self.title, silent)

    def _run(self) -> None:
        try:
            self.runner.run()
        except BaseException as error:
            self.end_worker(error)

    def end_worker(self, error: BaseException) -> None:
        """Say why the thread ended, and end the process."""
        logger.critical("the %s died, and the worker with it", self.title, exc_info=error)
        os._exit(EXIT_THREAD_DIED)

    def stop(self, parent: Any) -> None:
        if self.thread is not None:
            self._on_commit()
            self.thread.join(max(0.0, (self.told_at or 0.0) + JOIN_SECONDS - time.monotonic()))
            if self.thread.is_alive():
                logger.error("the %s did not end within %.0f s and is left behind", self.title, JOIN_SECONDS)

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
        from messaging.consumer.loop import Consumer

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
        from messaging.outbox.relay import Relay

        return Relay()


class RetentionStep(ThreadStep):
    """Ends a worker whose inbox would forget what a consumed topic still keeps. A broker that is away stops nobody."""

    name = "messaging.retention"
    title = "retention-check"
    endless = False

    def make_runner(self) -> Any:
        from messaging.checks import inbox_outlives_topics
        from messaging.retention.topic_check import RetentionCheck

        if problems := inbox_outlives_topics():
            raise SystemExit("; ".join(f"{problem.msg}. {problem.hint}" for problem in problems))
        return RetentionCheck()

    def end_worker(self, error: BaseException) -> None:
        if not isinstance(error, MessagingError):
            super().end_worker(error)
        logger.critical("this worker refuses to work: %s", error)
        os._exit(EXIT_REFUSED)
