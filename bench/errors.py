"""Errors that end a measurement. The message says what was expected and what was found."""

from __future__ import annotations


class BenchError(Exception):
    """The measurement is impossible, or its result would be invalid."""
