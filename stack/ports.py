"""Choice of ports on 127.0.0.1."""

from __future__ import annotations

import os
import random
import socket

from stack.errors import StackError
from stack.progress import tell

HOST = "127.0.0.1"
# Below the kernel's range for outgoing connections. Stacks that start at the same time need separate ranges, since a
# chosen port stays free until its server listens: STACK_PORTS=20000-22500
CHOICE = range(20_000, 30_000)
ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Return whether the port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose(defaults: dict[str, int], *, avoid_defaults: bool = False) -> dict[str, int]:
    """Return a free port for each name: its default, or another one, which is printed.

    With `avoid_defaults` always another one, so that a stack of `make up` finds the defaults free.
    """
    chosen: dict[str, int] = {}
    for name, default in defaults.items():
        free = not avoid_defaults and is_free(default)
        chosen[name] = default if free else _another(set(chosen.values()))
        if not free and not avoid_defaults:
            tell(f"Port {default} is taken: {name} uses {chosen[name]}.")
    return chosen


def _another(taken: set[int]) -> int:
    choice = _choice()
    for _ in range(ATTEMPTS):
        port = random.choice(choice)
        if port not in taken and is_free(port):
            return port
    raise StackError(f"No free port was found on {HOST} between {choice.start} and {choice.stop}.")


def _choice() -> range:
    if not (given := os.environ.get("STACK_PORTS")):
        return CHOICE
    start, _, stop = given.partition("-")
    return range(int(start), int(stop))
