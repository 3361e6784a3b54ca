"""Prints lines on the terminal: steps with the seconds since the start, and results."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()


def tell(text: str) -> None:
    """Print a progress line to standard error. Standard output has only the result."""
    sys.stderr.write(f"[{time.monotonic() - _started:6.1f} s] {text}\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """Print a line of the result to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
