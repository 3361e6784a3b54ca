"""A process whose clock is set: it sees the other time soon, and sleeps as long as before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stack import commands
from stack.layout import Layout
from tests.faults.clocks import Clocks
from tests.journeys.waiting import eventually

#: Tells its clocks whenever it is asked, after a short sleep.
WATCH = """
import sys, time, threading
for line in sys.stdin:
    before = time.monotonic()
    threading.Event().wait(0.1)
    time.sleep(0.1)
    print(time.time(), time.monotonic() - before, flush=True)
"""
HOUR = 3600


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_jumps_there_and_back_while_its_process_runs(jump: int, tmp_path: Path):
    clocks = Clocks(Layout(tmp_path))
    environment = commands.plain_environment() | clocks.variables("order")
    process = subprocess.Popen(
        [sys.executable, "-c", WATCH], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        begin, _ = ask(process)
        clocks.set("order", jump)
        eventually(lambda: is_off(process, begin, jump), "the clock to be wrong")
        _, slept = ask(process)
        clocks.heal()
        eventually(lambda: is_off(process, begin, 0), "the clock to be right")
    finally:
        process.kill()
        process.wait()

    assert 0.2 <= slept < HOUR / 2


def is_off(process: subprocess.Popen[str], begin: float, jump: int) -> bool:
    now, _ = ask(process)
    return abs(now - begin - jump) < HOUR / 2


def ask(process: subprocess.Popen[str]) -> tuple[float, float]:
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    now, slept = process.stdout.readline().split()
    return float(now), float(slept)
