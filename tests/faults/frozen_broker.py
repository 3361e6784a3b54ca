"""`python -m tests.faults.frozen_broker --rounds 10 --seconds 35`: what the workers use while the broker is frozen.

The broker is frozen (SIGSTOP) again and again, for longer than a client waits for an answer. Each worker's memory,
threads, open files and CPU are measured before, during and after. The last line is one JSON object; exit code 0 only
when every worker comes back to where it was, and no loop spins.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass

import psutil

from stack import control
from stack.layout import DEFAULT_DIRECTORY, Layout
from stack.process import family
from stack.progress import tell
from tests.faults import plan
from tests.faults.faulty_stack import faulty_stack
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.waiting import eventually

#: How long everything has to recover after a freeze, and to come to rest before the first measurement, in seconds.
RECOVERY_SECONDS = 15.0
PATIENT_SECONDS = 180.0
#: What a worker may have more than before the first freeze: memory in bytes, threads, open files.
MORE_MEMORY, MORE_THREADS, MORE_FILES = 30_000_000, 3, 10
#: The share of one core that a worker may use while the broker is frozen. A loop that spins takes all of it.
MOST_CPU = 0.5


@dataclass(frozen=True)
class Usage:
    """What the processes of a worker use: resident memory (bytes), threads, open files, CPU seconds since the start."""

    memory: int
    threads: int
    files: int
    cpu: float


@dataclass(frozen=True)
class Round:
    """A freeze: what each worker used before, at its end and after its recovery, and its share of a core in it."""

    before: Mapping[str, Usage]
    during: Mapping[str, Usage]
    after: Mapping[str, Usage]
    shares: Mapping[str, float]


def usage_of(pid: int) -> Usage:
    """Return what a process and its children use."""
    processes = family(psutil.Process(pid))
    times = [each.cpu_times() for each in processes]
    return Usage(
        memory=sum(each.memory_info().rss for each in processes),
        threads=sum(each.num_threads() for each in processes),
        files=sum(each.num_fds() for each in processes),
        cpu=sum(each.user + each.system for each in times),
    )


def measure(layout: Layout) -> dict[str, Usage]:
    """Return what each worker uses now."""
    return {name: usage_of(control.pid(name, layout=layout)) for name in plan.WORKERS}


@contextmanager
def frozen_broker(layout: Layout) -> Iterator[None]:
    """Keep the broker frozen for the with block."""
    control.kill("kafka", "SIGSTOP", layout=layout)
    try:
        yield
    finally:
        control.kill("kafka", "SIGCONT", layout=layout)


def freeze(
    layout: Layout,
    seconds: float,
    recovered: Callable[[], bool],
    state: Callable[[Layout], AbstractContextManager[object]] = frozen_broker,
) -> Round:
    """Freeze the broker once, or let it be, by `state`."""
    before = measure(layout)
    with state(layout):
        began = time.monotonic()
        time.sleep(seconds)
        during, lasted = measure(layout), time.monotonic() - began
    eventually(recovered, "the broker to answer", seconds=PATIENT_SECONDS)
    time.sleep(RECOVERY_SECONDS)
    shares = {name: round((during[name].cpu - before[name].cpu) / lasted, 3) for name in during}
    return Round(before, during, measure(layout), shares)


def rounds(layout: Layout, servers: str, number: int, seconds: float) -> list[Round]:
    """Freeze the broker so many times; tell what each worker used."""
    with closing(ForeignClient(servers, PATIENT_SECONDS)) as client:
        found = []
        _tell("at rest", freeze(layout, seconds, client.answers, nullcontext))
        for count in range(1, number + 1):
            found.append(freeze(layout, seconds, client.answers))
            _tell(f"frozen {count}", found[-1])
        return found


def _tell(what: str, one: Round) -> None:
    for name, share in one.shares.items():
        tell(f"{what}, {name}: {_memory(one, name)}, {share:.0%} of a core")


def _memory(one: Round, name: str) -> str:
    memory = " → ".join(f"{state[name].memory / 1e6:.1f}" for state in (one.before, one.during, one.after))
    after = one.after[name]
    return f"{memory} MB, {after.threads} threads, {after.files} files"


def problems(found: Sequence[Round], pids_stayed: bool) -> list[str]:
    """Return which workers did not come back to where they were, counted from the end of the first round.

    The first freeze warms up what is used in trouble alone.
    """
    wrong = [] if pids_stayed else ["a worker was started again"]
    first, last = found[0].after, found[-1].after
    for name in first:
        for what, most in (("memory", MORE_MEMORY), ("threads", MORE_THREADS), ("files", MORE_FILES)):
            was, now = getattr(first[name], what), getattr(last[name], what)
            if now > was + most:
                wrong.append(f"{name} has {now} ({what}) after the last freeze, and had {was} after the first")
        wrong += [f"{name} used {one.shares[name]:.0%} of a core" for one in found if one.shares[name] > MOST_CPU]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=35.0)
    given = parser.parse_args()
    os.environ.setdefault("STACK_DIR", str(DEFAULT_DIRECTORY / "frozen"))
    with faulty_stack() as stack:
        time.sleep(RECOVERY_SECONDS)
        pids = pids_of(stack.layout)
        found = rounds(stack.layout, stack.variables["KAFKA_BOOTSTRAP_SERVERS"], given.rounds, given.seconds)
        wrong = problems(found, pids == pids_of(stack.layout))
    sys.stdout.write(json.dumps({"rounds": [asdict(each) for each in found], "problems": wrong}) + "\n")
    return 1 if wrong else 0


def pids_of(layout: Layout) -> dict[str, int]:
    """Return the process id of each worker."""
    return {name: control.pid(name, layout=layout) for name in plan.WORKERS}


if __name__ == "__main__":
    sys.exit(main())
