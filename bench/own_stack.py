"""The stack of a measurement: its own one with empty data, stopped afterwards, or one that is already running."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from stack import environment, lifecycle, supervision
from stack.errors import AlreadyRunning
from stack.layout import Layout
from stack.lifecycle import Options
from stack.progress import tell

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP."""


def end_on_signals() -> None:
    """Make the signals raise Interrupted, so that everything that was started is stopped."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


@contextmanager
def stack_in(
    layout: Layout, *, attach: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    """Start a stack with empty data and stop it at the end; or use the running one and do not stop it."""
    if attach:
        yield environment.read(layout)
        return
    if supervision.is_running(layout):
        raise AlreadyRunning(
            f"The stack in {layout.directory} is already running: stop it, or measure it with --attach."
        )
    options = Options(for_tests=True, end_with_parent=True, settings=settings or {})
    try:
        values = lifecycle.start_infrastructure(layout, options)
        values = lifecycle.start_services(layout, values, options)
        yield values
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        tell("Stopping …")
        lifecycle.stop(layout)
