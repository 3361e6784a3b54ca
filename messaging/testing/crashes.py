"""A process that dies, as far as its database can tell: nothing of the transaction at hand is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

from messaging.registry import Handler


class CrashPoint(Enum):
    """Where the process dies: what was not committed is gone, and the records are delivered again."""

    BEFORE_HANDLER = "before the handler is called"
    AFTER_HANDLER = "after the first call of a handler, which has written and published"
    BEFORE_COMMIT = "after everything, before the commit"
    AFTER_COMMIT = "after the commit, before Kafka knows"


class Crash(BaseException):
    """The death of the process: no handler's `except Exception` stops it."""


class Dying:
    """Makes handlers that die at a crash point."""

    def __init__(self, at: CrashPoint) -> None:
        self.calls = 0
        self.died = False
        self._at = at
        self._made: dict[str, Handler] = {}

    def double(self, handler: Handler) -> Handler:
        """Return the handler's double, always the same one."""
        return self._made.setdefault(handler.name, replace(handler, function=self._wrap(handler.function)))

    def _wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self.calls += 1
            self.die(CrashPoint.BEFORE_HANDLER)
            answer = function(*arguments)
            self.die(CrashPoint.AFTER_HANDLER)
            return answer

        return wrapped

    def die(self, at: CrashPoint) -> None:
        """Die, if this is the point."""
        if at is self._at:
            raise Crash
