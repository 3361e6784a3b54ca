"""Waiting for what other processes bring about: always for a condition, always with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

#: The wait before the next look: short at first, then longer, since a look may be work for several processes.
FIRST_WAIT, LONGEST_WAIT, GROWTH = 0.02, 0.2, 1.25
#: Far more than anything takes on an idle machine, so that a busy one fails no test.
SECONDS = 60.0


def eventually(
    condition: Callable[[], T], what: str, *, seconds: float = SECONDS, state: Callable[[], Any] | None = None
) -> T:
    """Wait until the condition is true and return its value.

    AssertionError after `seconds`, naming `what` and, when given, the state at that time.
    """
    deadline, wait = time.monotonic() + seconds, FIRST_WAIT
    while not (value := condition()):
        if time.monotonic() > deadline:
            found = f": {state()}" if state else ""
            raise AssertionError(f"after {seconds:.0f} s still waiting for {what}{found}")
        time.sleep(wait)
        wait = min(wait * GROWTH, LONGEST_WAIT)
    return value
