"""What each kind of fault does to a running stack, and how it is undone."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from threading import Lock

import psutil
import psycopg2
from confluent_kafka import KafkaException
from kafka.errors import KafkaError
from redis import Redis
from redis.exceptions import RedisError

from stack import control
from stack.errors import StackError
from stack.process import family
from tests.faults import crash_points, plan, roles
from tests.faults.faulty_stack import FaultyStack
from tests.faults.made_again import make_again
from tests.faults.plan import Fault
from tests.faults.records import (
    Corrupted,
    abort_orders,
    corrupt,
    corrupt_largely,
    publish_again,
    publish_from_two_sources,
    publish_late,
    publish_upper_case,
)
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.foreign_member import foreign_member

#: How long a fault waits for its target: one that is restarting can't be killed.
TARGET_SECONDS = 15.0
#: How long a process has to come by the point that it is armed for.
POINT_SECONDS = 12.0
#: How long a record waits for the broker.
BROKER_SECONDS = 90.0
POLL_SECONDS = 0.05

DONE, ABSENT, NOT_REACHED = "done", "its target did not run", "the point was not reached"


@dataclass
class Injector:
    """Does the faults of a plan to a stack, each on the thread that asks for it."""

    stack: FaultyStack
    seed: int
    #: What stood unreadable in topics that were made again: its dead letters stay.
    gone: list[Corrupted] = field(default_factory=list)
    #: Nobody else writes into a topic while it is made again.
    _made_again: Lock = field(default_factory=Lock)

    def inject(self, fault: Fault) -> str:
        """Do the fault, wait as long as it lasts, undo it; return what came of it."""
        return self._kinds()[fault.kind](fault)

    def _kinds(self) -> dict[str, Callable[[Fault], str]]:
        return {
            plan.KILL: self._kill,
            plan.BACKEND: self._kill_backend,
            plan.CRASH: self._crash,
            plan.FREEZE: self._freeze,
            plan.CUT: lambda fault: self._weather(fault, is_cut=True),
            plan.DELAY: lambda fault: self._weather(fault, delay=float(fault.detail)),
            plan.LOSS: lambda fault: self._weather(fault, lost=fault.detail),
            plan.DUPLICATE: lambda fault: self._publish(fault, publish_again),
            plan.LATE: lambda fault: self._publish(fault, publish_late),
            plan.CORRUPT: lambda fault: self._publish(fault, corrupt),
            plan.CLOCK: self._clock,
            plan.DISK: self._disk,
            plan.REFUSE: self._refuse,
            plan.ROLE: self._role,
            plan.ABORT: lambda fault: self._publish(fault, abort_orders),
            plan.TWIN: lambda fault: self._publish(fault, publish_from_two_sources),
            plan.UPPER: lambda fault: self._publish(fault, publish_upper_case),
            plan.LARGE: lambda fault: self._publish(fault, corrupt_largely),
            plan.STRANGER: self._stranger,
            plan.REMADE: self._make_again,
        }

    def _kill(self, fault: Fault) -> str:
        process = self._running(fault.target)
        if process is None:
            return ABSENT
        # Of PostgreSQL the postmaster alone: its children notice, and end by themselves.
        victims = [process] if fault.target in plan.DATABASES else family(process)
        for victim in victims:
            _signal(victim, signal.SIGKILL)
        return DONE

    def _kill_backend(self, fault: Fault) -> str:
        process = self._running(fault.target)
        role = fault.target.replace("postgres-", "") + "_service"
        backends = [each for each in family(process)[1:] if role in _title(each)] if process else []
        if not backends:
            return ABSENT
        _signal(self._chance(fault).choice(backends), signal.SIGKILL)
        return DONE

    def _crash(self, fault: Fault) -> str:
        crash_points.arm(self.stack.armed, fault.target, fault.detail)
        deadline = time.monotonic() + POINT_SECONDS
        while (self.stack.armed / f"{fault.target}.armed").exists() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return NOT_REACHED if crash_points.disarm(self.stack.armed, fault.target) else DONE

    def _freeze(self, fault: Fault) -> str:
        process = self._running(fault.target)
        if process is None:
            return ABSENT
        frozen = family(process)
        for each in frozen:
            _signal(each, signal.SIGSTOP)
        time.sleep(fault.seconds)
        for each in frozen:
            _signal(each, signal.SIGCONT)
        return DONE

    def _weather(self, fault: Fault, **weather: object) -> str:
        self.stack.network.change(fault.target, **weather)
        time.sleep(fault.seconds)
        self.stack.network.change(fault.target)
        return DONE

    def _publish(self, fault: Fault, publish: Callable[[ForeignClient, Fault, random.Random], int]) -> str:
        """Write records; those that a broker in trouble did not acknowledge may be in the log or not."""
        alone = self._made_again if fault.target == plan.QUIET_TOPIC else nullcontext()
        with alone, closing(self._client()) as client:
            try:
                return f"{publish(client, fault, self._chance(fault))} records"
            except (AssertionError, KafkaException) as error:
                return f"the broker was in trouble: {error}"

    def _client(self) -> ForeignClient:
        """Return a client that waits for a broker that is away."""
        return ForeignClient(self.stack.variables["KAFKA_BOOTSTRAP_SERVERS"], BROKER_SECONDS)

    def _clock(self, fault: Fault) -> str:
        assert self.stack.clocks, "the plan has clock jumps, and libfaketime is not here"
        self.stack.clocks.set(fault.target, int(fault.detail))
        time.sleep(fault.seconds)
        self.stack.clocks.set(fault.target, 0)
        return DONE

    def _disk(self, fault: Fault) -> str:
        assert self.stack.disk, "the plan fills the disk, and there is none of its own"
        self.stack.disk.fill()
        time.sleep(fault.seconds)
        self.stack.disk.free()
        return DONE

    def _refuse(self, fault: Fault) -> str:
        """Redis answers, and takes no write, as a primary that has lost its replicas. A restart ends that too."""
        url = self.stack.variables["CELERY_BROKER_URL"]
        with Redis.from_url(url, socket_timeout=TARGET_SECONDS) as client:
            if not _attempted(lambda: client.config_set("min-replicas-to-write", 1), RedisError):
                return ABSENT
            time.sleep(fault.seconds)
            _until_done(lambda: client.config_set("min-replicas-to-write", 0), RedisError)
        return DONE

    def _role(self, fault: Fault) -> str:
        """The service's role loses its settings for a while, and every session begins again with what is left."""
        service = fault.target.removeprefix("postgres-")
        if not _attempted(lambda: roles.alter(self.stack.layout, service, roles.SPOILED), psycopg2.Error):
            return ABSENT
        time.sleep(fault.seconds)
        _until_done(lambda: roles.alter(self.stack.layout, service, roles.GOOD), psycopg2.Error)
        return DONE

    def _stranger(self, fault: Fault) -> str:
        """Somebody's consumer is in one of our groups for a while, and commits nothing."""
        group = fault.target.removeprefix("group ")
        try:
            with foreign_member(self.stack.variables["KAFKA_BOOTSTRAP_SERVERS"], group, fault.detail) as member:
                had = len(member.partitions)
                time.sleep(fault.seconds)
        except (AssertionError, KafkaError) as error:
            return f"the broker was in trouble: {error!r}"
        return f"it had {had} partitions"

    def _make_again(self, fault: Fault) -> str:
        with self._made_again, closing(self._client()) as client:
            self.gone += make_again(client, self.stack, fault.detail)
        return DONE

    def _running(self, name: str) -> psutil.Process | None:
        """Wait for a process to run; None when it does not in time."""
        deadline = time.monotonic() + TARGET_SECONDS
        while (found := self._process(name)) is None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return found

    def _process(self, name: str) -> psutil.Process | None:
        try:
            pid = control.pid(name, layout=self.stack.layout)
            return psutil.Process(pid) if pid else None
        except (psutil.NoSuchProcess, StackError):
            return None

    def _chance(self, fault: Fault) -> random.Random:
        return random.Random(f"fault {self.seed} {fault.number}")


def _attempted(action: Callable[[], object], *errors: type[Exception]) -> bool:
    """Do it; return whether its server was there."""
    try:
        action()
    except errors:
        return False
    return True


def _until_done(action: Callable[[], object], *errors: type[Exception]) -> None:
    """Undo a fault, however long its server is away."""
    deadline = time.monotonic() + BROKER_SECONDS
    while not _attempted(action, *errors):
        assert time.monotonic() < deadline, "the fault could not be undone"
        time.sleep(0.2)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return
