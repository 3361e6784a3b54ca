"""The stack of the tests: in `.stack/test`, empty at each start, without the data of `make up`.

variables = ensure_infrastructure()     # PostgreSQL, Kafka, Redis; safe to repeat
start_services({"SAGA_DEADLINE_SECONDS": "5"})
control.stop("product-worker")          # stack.control controls single processes
stop_all()
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from stack import control, environment, lifecycle, services, supervision
from stack.errors import AlreadyRunning
from stack.layout import DEFAULT_DIRECTORY, Layout
from stack.lifecycle import Options

DIRECTORY = DEFAULT_DIRECTORY / "test"


def layout() -> Layout:
    """Return the layout of the tests' stack: STACK_DIR, or `.stack/test`."""
    return Layout(Path(os.environ.get("STACK_DIR") or DIRECTORY).resolve())


def ensure_infrastructure(*, servers: Collection[str] | None = None, short_lived: bool = False) -> dict[str, str]:
    """Start PostgreSQL, Kafka and Redis with empty data unless they run; return the variables of the env file.

    `servers` and `short_lived` as in stack.lifecycle.Options. It sets STACK_DIR, so that stack.control and child
    processes find the same stack. On Linux the stack ends with this process.
    """
    place = layout()
    os.environ["STACK_DIR"] = str(place.directory)
    if not supervision.is_running(place):
        try:
            options = Options(for_tests=True, end_with_parent=True, servers=servers, short_lived=short_lived)
            lifecycle.start_infrastructure(place, options)
        except AlreadyRunning:  # another test process was faster
            return environment.read(place)
    return environment.read(place)


def start_services(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Start all services and wait for them; `settings` override the services' variables. Return the env file."""
    values = ensure_infrastructure()
    return lifecycle.start_services(layout(), values, Options(settings=settings or {}))


def configure(settings: Mapping[str, str]) -> None:
    """Override the variables of every service by `settings`, from the next start of a process on."""
    for process in services.processes(layout(), environment.read(layout()), settings):
        process.write(layout())


def stop_services() -> None:
    """Stop all services; the infrastructure stays."""
    lifecycle.stop_services(layout())


def stop_all() -> None:
    """Stop the whole stack of the tests."""
    lifecycle.stop(layout())


__all__ = ["configure", "control", "ensure_infrastructure", "layout", "start_services", "stop_all", "stop_services"]
