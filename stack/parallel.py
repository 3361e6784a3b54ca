"""Runs steps of the start in parallel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from stack import commands
from stack.progress import tell


def in_parallel(tasks: Mapping[str, Callable[[], Any]]) -> None:
    """Run all tasks in parallel and print when each is ready. The first error stops the others and is raised."""
    if not tasks:
        return
    with ThreadPoolExecutor(max_workers=len(tasks)) as pool:
        futures = [pool.submit(_timed, name, task) for name, task in tasks.items()]
        ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
        errors = [error for future in ended if (error := future.exception())]
        if errors:
            commands.stop_running()
            raise errors[0]


def _timed(name: str, task: Callable[[], Any]) -> None:
    begin = time.monotonic()
    task()
    tell(f"{name} ready ({time.monotonic() - begin:.1f} s)")
