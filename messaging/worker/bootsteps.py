"""Runs the Kafka consumer and the outbox relay as steps of a Celery worker.

The steps belong to the worker's blueprint: the consumer's blueprint restarts whenever Celery's own broker is briefly
away, and the Kafka group would rebalance each time. The threads are daemons with a bounded join. When one dies, the
worker ends, so no worker looks healthy while it consumes nothing. A stopping worker finishes its current batch; it
abandons what hangs (a frozen server), since its memory holds nothing that must survive.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NoReturn

import click
from celery import Celery, bootsteps, platforms
from celery.signals import worker_shutting_down
from celery.worker import state
from django.conf import settings

from messaging.conf import conf
from messaging.database import PoolerInTheWay
from messaging.errors import MessagingError
from messaging.worker.live_workers import Presence
from messaging.worker.liveness import LivenessFile
from messaging.worker.role_check import RoleStep
from messaging.worker.schema import MigrationsMissing, wait_for_database
from messaging.worker.task_connections import keep_connections

logger = logging.getLogger(__name__)

#: Longest time, in seconds, in which the threads together finish their work and leave the group.
JOIN_SECONDS = 15.0
#: Seconds after which a stopping worker ends by force. Less than its supervisor waits.
STOP_SECONDS = 18
EXIT_THREAD_DIED = 70
#: The settings do not fit what the broker says.
EXIT_REFUSED = 78
EXIT_BY_FORCE = 71


def install(app: Celery) -> None:
    """Add the steps and their command-line options to `celery worker`, and messaging's scheduler to `celery beat`."""
    app.conf.beat_scheduler = "messaging.worker.beat:Scheduler"
    app.conf.beat_schedule_filename = f"celerybeat-schedule-{settings.SERVICE_NAME}"
    app.conf.worker_consumer = "messaging.worker.celery_consumer:Consumer"
    keep_connections(app)
    app.user_options["worker"].add(
        click.Option(["--consumer-group"], default=None, help="Kafka consumer group to be in (default: the first).")
    )
    app.user_options["worker"].add(click.Option(["--no-consumer"], is_flag=True, help="Host no Kafka consumer."))
    app.user_options["worker"].add(click.Option(["--no-relay"], is_flag=True, help="Host no outbox relay."))
    app.steps["worker"].add(ConsumerStep)
    app.steps["worker"].add(RelayStep)
    app.steps["worker"].add(RetentionStep)
    app.steps["worker"].add(TopicSizeStep)
    app.steps["worker"].add(StopTimeoutStep)
    app.steps["worker"].add(RetryStep)
    app.steps["worker"].add(RestartStep)
    app.steps["worker"].add(RoleStep)


class StopTimeoutStep(bootsteps.StartStopStep):
    """Ends a stopping worker that hangs: a task may wait for a frozen server without end."""

    name = "messaging.deadline"
    requires = {"celery.worker.components:Pool"}

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.stopping = False

    def start(self, parent: Any) -> None:
        worker_shutting_down.connect(self._on_shutdown, weak=False)
        threading.Thread(target=self._watch, name="stop-watch", daemon=True).start()

    def _on_shutdown(self, **_: Any) -> None:
        self.stopping = True

    def _watch(self) -> None:
        """Count this thread's ticks, not the clock: the time of a freeze of the whole process does not count."""
        ticks = 0
        while ticks < STOP_SECONDS:
            time.sleep(1)
            ticks += self.stopping
        logger.critical("the worker did not stop within %s s: the process exits by force", STOP_SECONDS)
        os._exit(EXIT_BY_FORCE)

    def stop(self, parent: Any) -> None:
        """Do nothing: Celery stops each step, and this one only watches."""


def seconds_without_progress(progress: Callable[[], object]) -> Iterator[int]:
    """Yield each second for how many seconds `progress()` has returned the same value; 0 while it returns None.

    The watching thread counts its ticks, not the clock, so the time of a freeze of the whole process does not count.
    """
    seen, silent = None, 0
    while True:
        time.sleep(1)
        now = progress()
        silent = silent + 1 if now is not None and now == seen else 0
        seen = now
        yield silent


def end_if_too_long(title: str, silent: int) -> None:
    """End the worker when `title` has made no progress for longer than HANG_SECONDS."""
    if silent > conf().hang_seconds:
        logger.critical("the %s made no progress for %s s: the worker ends", title, silent)
        os._exit(EXIT_THREAD_DIED)


class RetryStep(bootsteps.StartStopStep):
    """Ends a worker that hangs while it retries a parked key: it would retry no other parked key."""

    name = "messaging.drain"
    requires = {"celery.worker.components:Pool"}

    def start(self, parent: Any) -> None:
        threading.Thread(target=self._watch, name="drain-watch", daemon=True).start()

    def _watch(self) -> None:
        from messaging.consumer import retry_parked

        for silent in seconds_without_progress(retry_parked.progress):
            end_if_too_long("retry of parked keys", silent)

    def stop(self, parent: Any) -> None:
        """Do nothing: Celery stops each step, and this one only watches."""


class ThreadStep(bootsteps.StartStopStep):
    """A thread of the worker. An `endless` one runs as long as the worker; another one may end."""

    requires = {"celery.worker.components:Pool"}
    title = ""
    endless = True

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.options = options
        self.runner: Any = None
        self.thread: threading.Thread | None = None
        self.stopping_since: float | None = None

    def make_runner(self) -> Any:
        """Build an object with run() and stop(), in the worker's own process."""
        raise TypeError(f"{type(self).__name__} must say what it runs")

    def start(self, parent: Any) -> None:
        exclude_from_garbage_collection()
        self.runner = self.make_runner()
        if self.endless:
            liveness_file().expect(self.title)
        self.thread = threading.Thread(target=self._run, name=self.title, daemon=True)
        self.thread.start()
        threading.Thread(target=self._watch, name=f"{self.title}-watch", daemon=True).start()
        worker_shutting_down.connect(self._on_shutdown, weak=False)

    def _on_shutdown(self, **_: Any) -> None:
        """Stop at the signal: Celery may first wait for its own broker. Runs in the signal handler."""
        if self.stopping_since is None:  # a second signal may interrupt the first one's handler
            self.stopping_since = time.monotonic()
            self.runner.stop()

    def _watch(self) -> None:
        """End the worker when its thread makes no progress: a client's call may hang beyond its timeout."""
        for silent in seconds_without_progress(lambda: self.runner.progress):
            if self.thread is None or not self.thread.is_alive():
                return
            if silent == 0:
                liveness_file().progressed(self.title)
            end_if_too_long(self.title, silent)

    def _run(self) -> None:
        try:
            if self.endless:
                wait_for_database(lambda: self.stopping_since is not None, self._note_progress)
            if self.stopping_since is None:
                self.runner.run()
        except (MigrationsMissing, PoolerInTheWay) as error:
            refuse(error)
        except BaseException as error:
            self.end_worker(error)

    def _note_progress(self) -> None:
        self.runner.progress = time.monotonic()

    def end_worker(self, error: BaseException) -> None:
        """Log why the thread ended, and end the process."""
        logger.critical("the thread %s failed: the worker process ends", self.title, exc_info=error)
        os._exit(EXIT_THREAD_DIED)

    def stop(self, parent: Any) -> None:
        if self.thread is not None:
            self._on_shutdown()
            self.thread.join(max(0.0, (self.stopping_since or 0.0) + JOIN_SECONDS - time.monotonic()))
            if self.thread.is_alive():
                logger.error(
                    "the thread %s did not end within %.0f s: the worker stops without it", self.title, JOIN_SECONDS
                )

    def terminate(self, parent: Any) -> None:
        self.stop(parent)

    def info(self, parent: Any) -> dict[str, Any]:
        return {self.title: {"alive": bool(self.thread and self.thread.is_alive())}}


def refuse(error: BaseException) -> NoReturn:
    """End the process: it does not fit its database, or its settings do not fit the broker."""
    logger.critical("this worker refuses to start: %s", error)
    os._exit(EXIT_REFUSED)


class RestartStep(bootsteps.StartStopStep):
    """Makes SIGHUP start the worker again by the command that started it.

    Celery runs the path of its own module instead, which ends in an ImportError after `python -m celery`.
    """

    name = "messaging.restart"
    requires = {"celery.worker.components:Pool"}

    def start(self, parent: Any) -> None:
        if callable(signal.getsignal(signal.SIGHUP)):  # Celery restarts by it: not at a terminal
            self.hostname = parent.hostname
            signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        """Stop as at SIGTERM. Runs in the signal handler."""
        atexit.register(self._start_again)
        worker_shutting_down.send(sender=self.hostname, sig="SIGHUP", how="Warm", exitcode=0)
        state.should_stop = 0

    def _start_again(self) -> None:
        platforms.close_open_fds([sys.__stdin__, sys.__stdout__, sys.__stderr__])
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    def stop(self, parent: Any) -> None:
        """Do nothing: Celery stops each step, and this one only waits for a signal."""


@cache
def liveness_file() -> LivenessFile:
    """Return this process's liveness file; without a path in the settings it writes nothing."""
    return LivenessFile(conf().liveness_file)


def exclude_from_garbage_collection() -> None:
    """Exclude objects that live as long as the process from garbage collection: it cost a fifth of a batch's CPU.

    What is left is little, so the old generations are collected often. While a broker is frozen, kafka-python makes
    50 exceptions a second that a pending request keeps alive: 250,000 objects in three freezes became old, and stayed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 2, 2)


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


class TopicSizeStep(ThreadStep):
    """Logs which topics of this service refuse its largest events."""

    name = "messaging.topic-sizes"
    title = "topic-size-check"
    endless = False

    def __init__(self, parent: Any, no_relay: bool = False, **options: Any) -> None:
        super().__init__(parent, **options)
        self.enabled = not no_relay

    def make_runner(self) -> Any:
        from messaging.kafka.topic_sizes import SizeCheck

        return SizeCheck()


class RetentionStep(ThreadStep):
    """Ends a worker whose inbox would forget events that a consumed topic still keeps."""

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
        refuse(error)
