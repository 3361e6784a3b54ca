"""How a run of tests ends early: Ctrl-C, SIGTERM and the end of the process that started it all stop it in order."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stack import commands
from stack.launch import PR_SET_PDEATHSIG

#: Names the process that a process of tests ends with.
PARENT = "TEST_PARTS_PARENT"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: A terminal's Ctrl-C reaches a child directly and from its parent too: together they are one.
ONE_REQUEST_SECONDS = 2.0

_asked_at = -ONE_REQUEST_SECONDS


def end_on_signals() -> None:
    """Let every signal to end raise KeyboardInterrupt, so that fixtures and servers are torn down."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell in the background set it
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _asked_at
    asked_before, _asked_at = _asked_at, time.monotonic()
    if _asked_at - asked_before >= ONE_REQUEST_SECONDS:
        commands.stop_running()  # a start of servers that is under way gives up
        raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore signals for a with block: the end is under way and takes seconds."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """Ask the kernel (Linux) for SIGTERM when the process that started this one, as a part or a lane, dies."""
    parent = int(os.environ.pop(PARENT, "0"))
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise KeyboardInterrupt
