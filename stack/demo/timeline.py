"""Prints the timeline of a saga while it happens."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from stack.demo.client import ENDED, Person
from stack.progress import show

POLL_SECONDS = 0.03
GIVE_UP_SECONDS = 60.0


class Timelines:
    """Follows sagas. Each row of a history is printed once, also if the saga is followed again."""

    def __init__(self) -> None:
        self._printed: dict[str, int] = {}

    def follow(self, person: Person, order: dict[str, Any], *, seconds: float = GIVE_UP_SECONDS) -> bool:
        """Print the order's history until its saga has ended; False if it has not ended after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            saga = person.saga(order["id"])
            self._print_new(order, saga)
            if saga["status"] in ENDED:
                return True
            if time.monotonic() > deadline:
                show(f"      … {saga['status']}, waiting for: {'; '.join(saga['waiting_for'])}")
                return False
            time.sleep(POLL_SECONDS)

    def _print_new(self, order: dict[str, Any], saga: dict[str, Any]) -> None:
        history = saga["history"]
        begin = datetime.fromisoformat(order["created_at"])
        for row in history[self._printed.get(order["id"], 0) :]:
            show(_line(row, begin))
        self._printed[order["id"]] = len(history)


def _line(row: dict[str, Any], begin: datetime) -> str:
    milliseconds = (datetime.fromisoformat(row["at"]) - begin).total_seconds() * 1000
    change = f"{row['from'] or '·'} → {row['to'] or '·'}"
    event = row["event"].removesuffix(".v1")
    return f"    {milliseconds:+9.0f} ms  {row['step'] or 'saga':7} {change:25} {event:27} {row['actor']}"
