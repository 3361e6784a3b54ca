"""What stops the local stack; the message tells the reader what to do."""

from __future__ import annotations


class StackError(Exception):
    """The stack can't be started or steered as asked."""


class AlreadyRunning(StackError):
    """Another process has started this stack."""
