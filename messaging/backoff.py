"""Exponential backoff: the delays between attempts at something that fails."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays, in seconds, that double from `first` to `cap`."""

    first: float
    cap: float

    def after(self, previous: float) -> float:
        """Return the delay that follows a delay of `previous` seconds; 0 stands for no delay before."""
        return min(max(previous * 2, self.first), self.cap)

    def at(self, doublings: int) -> float:
        """Return the delay after so many doublings of the first one."""
        return min(self.first * 2.0 ** max(0, min(doublings, 30)), self.cap)


def jittered(delay: float) -> float:
    """Return a random delay between half of `delay` and all of it, so that many waiters spread out."""
    return delay * random.uniform(0.5, 1)


@dataclass
class Delayed(Generic[T]):
    """Names that failed, each with the time before which it is not tried again.

    A name that was due for more than `forget_after` seconds starts again with the first delay.
    """

    backoff: Backoff
    forget_after: float = float("inf")
    _until: dict[T, tuple[float, float]] = field(default_factory=dict)

    def __contains__(self, name: T) -> bool:
        return name in self._until

    def delay_of(self, name: T) -> float:
        """Return the present delay of a name that failed; KeyError for another one."""
        return self._until[name][1]

    def failed(self, name: T) -> float:
        """Delay the name, twice as long as the last time; return the delay in seconds."""
        delay = self.backoff.after(self._until.get(name, (0.0, 0.0))[1])
        self._until[name] = (time.monotonic() + delay, delay)
        return delay

    def worked(self, names: Iterable[T]) -> None:
        """Forget that these names failed."""
        for name in names if self._until else ():
            self._until.pop(name, None)

    def clear(self) -> None:
        """Forget every failure."""
        self._until.clear()

    def now(self) -> list[T]:
        """Return the names that are not to be tried yet."""
        moment = time.monotonic()
        for name in [name for name, (until, _) in self._until.items() if until < moment - self.forget_after]:
            del self._until[name]
        return [name for name, (until, _) in self._until.items() if moment < until]
