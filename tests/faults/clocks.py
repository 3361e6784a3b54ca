"""Clocks that can be set: each service's processes run on libfaketime, which reads how far they are off from a file.

Only the time of day is changed. The monotonic clock stays, as it does when somebody sets a real machine's clock.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import psutil

from stack.layout import Layout

_PACKAGE = importlib.util.find_spec("libfaketime")
LIBRARY = Path((_PACKAGE and _PACKAGE.origin) or "").parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
#: How long a process believes what it has read; without that, each look at the clock would read the file.
CACHE_SECONDS = 1
SHARED_MEMORY = Path("/dev/shm")
PREFIXES = ("faketime_shm_", "sem.faketime_sem_")


class Clocks:
    """The clocks of the services of one stack."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.directory / "clocks"
        self._folder.mkdir(exist_ok=True)

    def variables(self, service: str) -> dict[str, str]:
        """Return what a process needs to live by its service's clock."""
        self.set(service, 0)
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._folder / service),
            "FAKETIME_CACHE_DURATION": str(CACHE_SECONDS),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, service: str, seconds: int) -> None:
        """Set the service's clock so many seconds off the true time, within a second."""
        draft = self._folder.with_name(f"clock-of-{service}.draft")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._folder / service)

    def heal(self) -> None:
        """Set every clock right."""
        for path in self._folder.iterdir():
            self.set(path.name, 0)


def is_available() -> bool:
    """Say whether libfaketime is here (its wheel is built for Linux)."""
    return LIBRARY.exists()


def remove_leftovers() -> None:
    """Remove the shared memory of killed processes, which could not do so themselves."""
    for path in SHARED_MEMORY.iterdir():
        owner = path.name.rpartition("_")[2]
        if path.name.startswith(PREFIXES) and owner.isdigit() and not psutil.pid_exists(int(owner)):
            os.unlink(path)
