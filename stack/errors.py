"""Errors of the local stack. The message says what to do."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot do what the command asks."""


class AlreadyRunning(StackError):
    """Another process has started this stack."""
