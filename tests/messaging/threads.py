"""Running a relay or a consumer in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connections

R = TypeVar("R")
JOIN_SECONDS = 30


@contextmanager
def running(runner: R) -> Iterator[R]:
    """Run a relay or a consumer for the length of a with block; what ended it early fails the test."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            runner.run()  # type: ignore[attr-defined]
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop()  # type: ignore[attr-defined]
        thread.join(JOIN_SECONDS)
        assert not thread.is_alive(), "the thread did not stop"
        assert not failures, failures


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Run the functions in threads of their own, begun together; return their values or errors."""
    results: list[Any] = [None] * len(functions)
    gate = threading.Barrier(len(functions))

    def run(index: int) -> None:
        gate.wait()
        try:
            results[index] = functions[index]()
        except Exception as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_SECONDS)
    return results
