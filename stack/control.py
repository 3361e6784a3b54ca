"""Start, stop and signal single processes of a running stack, by name (`order-worker`, `kafka`, `postgres-coupon`).

Every function takes `layout`, by default the stack in the folder that STACK_DIR names.
"""

from __future__ import annotations

import os
import signal as signals
import time
import xmlrpc.client
from collections.abc import Callable, Iterable
from typing import Any

import psutil
from supervisor.xmlrpc import Faults

from stack import supervision
from stack.errors import StackError
from stack.layout import Layout
from stack.process import family

POLL_SECONDS = 0.05
WAIT_SECONDS = 30.0
STOPPED = ("STOPPED", "EXITED", "FATAL")
LINES_SHOWN = 25


def names(*, layout: Layout | None = None) -> list[str]:
    """Return the names of all processes."""
    return [info["name"] for info in _call(layout, "getAllProcessInfo")]


def state(name: str, *, layout: Layout | None = None) -> str:
    """Return supervisord's state: STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL."""
    return str(_call(layout, "getProcessInfo", _full(name))["statename"])


def states(*, layout: Layout | None = None) -> dict[str, tuple[str, str]]:
    """Return state and description (pid and uptime, or why it ended) of every process."""
    return {info["name"]: (info["statename"], info["description"]) for info in _call(layout, "getAllProcessInfo")}


def pid(name: str, *, layout: Layout | None = None) -> int:
    """Return the process id; 0 if it is not running."""
    return int(_call(layout, "getProcessInfo", _full(name))["pid"])


def start(name: str, *, wait: bool = True, layout: Layout | None = None) -> None:
    """Start a process, unless it is already running. `wait` until it has been up for a second."""
    _tolerate(Faults.ALREADY_STARTED, lambda: _call(layout, "startProcess", _full(name), False))
    if wait:
        wait_running(name, layout=layout)


def stop(name: str, *, wait: bool = True, layout: Layout | None = None) -> None:
    """Stop a process by its stop signal, later by SIGKILL. It is not restarted."""
    _tolerate(Faults.NOT_RUNNING, lambda: _call(layout, "stopProcess", _full(name), False))
    if wait:
        wait_stopped(name, layout=layout)


def restart(name: str, *, layout: Layout | None = None) -> None:
    """Stop and start a process."""
    stop(name, layout=layout)
    start(name, layout=layout)


def stop_all(stopped: Iterable[str], *, layout: Layout | None = None) -> None:
    """Stop several processes at once."""
    waited = list(stopped)
    for name in waited:
        stop(name, wait=False, layout=layout)
    for name in waited:
        wait_stopped(name, layout=layout)


def kill(name: str, signal: int | str = "SIGKILL", *, layout: Layout | None = None) -> int:
    """Send a signal to a process and all its descendants; return the process id that it had.

    After a SIGKILL supervisord starts it again; call `stop` to keep it down. SIGSTOP freezes it, SIGCONT resumes it.
    """
    number = signals.Signals[signal] if isinstance(signal, str) else signals.Signals(signal)
    target = pid(name, layout=layout)
    if target == 0:
        raise StackError(f"{name} is not running, so {number.name} cannot be sent. Start it first.")
    for process in family(psutil.Process(target)):
        _tolerate_gone(lambda process=process: os.kill(process.pid, number))  # type: ignore[misc]
    return target


def wait_running(name: str, *, timeout: float = WAIT_SECONDS, layout: Layout | None = None) -> None:
    """Wait until the process is RUNNING; StackError with the end of its log after `timeout` seconds."""
    _wait(name, ("RUNNING",), timeout, layout)


def wait_stopped(name: str, *, timeout: float = WAIT_SECONDS, layout: Layout | None = None) -> None:
    """Wait until the process has ended."""
    _wait(name, STOPPED, timeout, layout)


def wait_restarted(name: str, old_pid: int, *, timeout: float = WAIT_SECONDS, layout: Layout | None = None) -> int:
    """Wait until the process runs with an id other than `old_pid`, and return that id."""
    deadline = time.monotonic() + timeout
    while (new := pid(name, layout=layout)) in (0, old_pid):
        if time.monotonic() > deadline:
            raise StackError(f"{name} was not restarted within {timeout} s.\n{log_end(name, layout=layout)}")
        time.sleep(POLL_SECONDS)
    return new


def listens(name: str, port: int, *, layout: Layout | None = None) -> bool:
    """Say whether the process, or one of its descendants, listens on the port."""
    try:
        found = [each.net_connections("tcp") for each in family(psutil.Process(pid(name, layout=layout)))]
    except psutil.NoSuchProcess:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for one in found for each in one)


def log_end(name: str, *, layout: Layout | None = None) -> str:
    """Return the last lines of the process's log."""
    path = (layout or Layout.current()).log / f"{name}.log"
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-LINES_SHOWN:])


def _full(name: str) -> str:
    return f"{supervision.GROUP}:{name}"


def _wait(name: str, wanted: tuple[str, ...], timeout: float, layout: Layout | None) -> None:
    deadline = time.monotonic() + timeout
    while (found := state(name, layout=layout)) not in wanted:
        if time.monotonic() > deadline:
            end = log_end(name, layout=layout)
            raise StackError(f"{name} is {found} after {timeout} s instead of {wanted[0]}. Its log ends:\n{end}")
        time.sleep(POLL_SECONDS)


def _call(layout: Layout | None, method: str, *arguments: Any) -> Any:
    place = layout or Layout.current()
    try:
        return supervision.call(place, method, *arguments)
    except OSError as error:
        raise StackError(
            f"The stack in {place.directory} is not running; start it with `make up` ({error})."
        ) from error


def _tolerate(fault: int, act: Callable[[], Any]) -> None:
    try:
        act()
    except xmlrpc.client.Fault as error:
        if error.faultCode != fault:
            raise


def _tolerate_gone(act: Callable[[], None]) -> None:
    try:
        act()
    except ProcessLookupError:
        return
