"""What ends a measurement; the message says what was waited for and what was seen."""

from __future__ import annotations


class BenchError(Exception):
    """The measurement can't be taken, or its result would not count."""
