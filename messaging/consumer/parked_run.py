"""Gives the parked keys that are due their turns, several at once, so that no key waits behind one that hangs.

A key's turn may take long: its row is locked, and each attempt waits for the lock timeout. So only PATIENT threads give
a key all the time it wants. The others are in a hurry: they cut an attempt off as soon as it waits, which counts no
attempt; the key then waits for a patient thread, and meanwhile has further hurried turns.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from django.db import connections

from messaging.parking.keys import Parked

#: Most keys that a process retries at the same time; each needs a database connection.
THREADS = 6
#: Of these, the most that wait as long as a key's attempt takes.
PATIENT = 3
#: How long, in seconds, an idle thread waits before it looks for due keys again.
LOOK_SECONDS = 0.2


class Turns(Protocol):
    """What a run does with keys."""

    def find(self, without: set[Parked]) -> Iterable[Parked]:
        """Return keys that are due."""

    def give(self, key: Parked, *, hurried: bool) -> int | None:
        """Give a key its turn; return how many events ended, or None when a hurried turn was cut off.

        An error ends the run.
        """


class Run:
    """One run: what is due, and who works at it. Threads are started while keys wait, and end with the run."""

    def __init__(self, turns: Turns, *, seconds: float, waiting: dict[Parked, None]) -> None:
        """`waiting`: the keys that were cut off and wait for a patient thread; it outlives the run."""
        self._turns = turns
        self._until = time.monotonic() + seconds
        self._cut_off = waiting
        self._changed = threading.Condition()
        self._due: deque[Parked] = deque()
        self._busy: set[Parked] = set()
        #: Keys whose turn ended no event: not taken twice in a run.
        self._tried: set[Parked] = set()
        self._patient = 0
        self._looking, self._nothing_new, self._looked_at = False, False, 0.0
        self._threads: list[threading.Thread] = []
        self._ended = 0
        self._error: Exception | None = None

    def run(self) -> int:
        """Give turns until nothing is due or the time is over; return how many events ended."""
        self._work()
        for thread in self._threads:  # further ones may be added meanwhile
            thread.join()
        if self._error:
            raise self._error
        return self._ended

    def _work(self) -> None:
        try:
            while taken := self._take():
                self._give(*taken)
        except Exception as error:
            self._end_with(error)

    def _work_in_thread(self) -> None:
        try:
            self._work()
        finally:
            connections.close_all()

    def _end_with(self, error: Exception) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _give(self, key: Parked, hurried: bool) -> None:
        handled: int | None = 0
        try:
            handled = self._turns.give(key, hurried=hurried)
        finally:
            self._put_back(key, hurried, handled)

    def _put_back(self, key: Parked, hurried: bool, handled: int | None) -> None:
        with self._changed:
            self._busy.discard(key)
            self._patient -= not hurried
            self._ended += handled or 0
            if handled is None:
                self._cut_off[key] = None
            elif key in self._cut_off:
                del self._cut_off[key]
            if handled:
                self._tried.discard(key)
                self._nothing_new = False
            self._changed.notify_all()

    def _take(self) -> tuple[Parked, bool] | None:
        """Return a key, and whether its turn is hurried; None when the run ends. Waits while others are at work."""
        with self._changed:
            while not self._is_over():
                if taken := self._choose():
                    return taken
                if not self._looking and time.monotonic() >= self._looked_at + LOOK_SECONDS * self._nothing_new:
                    self._look()
                else:
                    self._changed.wait(LOOK_SECONDS)
            self._changed.notify_all()
            return None

    def _is_over(self) -> bool:
        """While a patient turn lasts, the run goes on: other keys must not wait for its end."""
        if self._error or (self._time_is_over() and not self._patient):
            return True
        return self._nothing_new and not (self._busy or self._due or self._cut_off or self._looking)

    def _time_is_over(self) -> bool:
        return time.monotonic() >= self._until

    def _choose(self) -> tuple[Parked, bool] | None:
        key = self._for_a_patient_turn() if self._patient < PATIENT and not self._time_is_over() else None
        hurried = key is None
        if key is None:
            key = next((each for each in self._due if each not in self._busy), None)
        if key is None:
            return None
        if key in self._due:
            self._due.remove(key)
        self._busy.add(key)
        self._tried.add(key)
        self._patient += not hurried
        self._start_thread()
        return key, hurried

    def _for_a_patient_turn(self) -> Parked | None:
        return next((each for each in (*self._cut_off, *self._due) if each not in self._busy), None)

    def _start_thread(self) -> None:
        if (self._due or self._cut_off) and len(self._threads) < THREADS - 1:
            thread = threading.Thread(target=self._work_in_thread, name="retry-parked", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _look(self) -> None:
        """Look for due keys, without the lock; the other threads go on."""
        self._looking, without = True, self._busy | self._tried
        self._changed.release()
        try:
            found = list(self._turns.find(without))
        finally:
            self._changed.acquire()
            self._looking, self._looked_at = False, time.monotonic()
        new = [key for key in found if key not in self._busy and key not in without]
        self._due.extend(new)
        self._nothing_new = not new
        self._changed.notify_all()
