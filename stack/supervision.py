"""supervisord (PyPI `supervisor`): one per stack. It restarts each process that dies."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from typing import Any

import psutil
from supervisor.states import SupervisorStates
from supervisor.xmlrpc import SupervisorTransport

from stack import commands
from stack.errors import StackError
from stack.layout import Layout, write_private
from stack.process import Process

NAME = "supervisord"
GROUP = "stack"
OWNER = "STACK_OWNER"
LOG_BYTES = "10MB"
START_SECONDS = 15.0
RETRIES = 1000  # supervisord must not give up on a process that waits for a stopped part

HEAD = """\
[unix_http_server]
file={socket}
chmod=0700

[supervisord]
logfile={log}/supervisord.log
logfile_maxbytes={log_bytes}
logfile_backups=1
pidfile={directory}/supervisord.pid
nodaemon=true
silent=true
childlogdir={log}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

PROGRAM = """
[program:{name}]
command={command}
autostart=false
autorestart=true
startsecs=1
startretries={retries}
stopsignal={stop_signal}
stopwaitsecs={stop_seconds}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={log}/{name}.log
stdout_logfile_maxbytes={log_bytes}
stdout_logfile_backups=1
"""

# In one group, so that supervisord stops all of them together when it ends.
GROUP_SECTION = """
[group:{group}]
programs={names}
"""


def write_config(layout: Layout, processes: Sequence[Process]) -> None:
    """Write supervisord's configuration and the description of each process."""
    log = _escaped(layout.log)
    head = HEAD.format(
        socket=_escaped(layout.socket), log=log, log_bytes=LOG_BYTES, directory=_escaped(layout.directory)
    )
    for process in processes:
        process.write(layout)
    programs = (_program(process, layout, log) for process in processes)
    group = GROUP_SECTION.format(group=GROUP, names=",".join(process.name for process in processes))
    write_private(layout.supervisor_config, head + "".join(programs) + group)


def _program(process: Process, layout: Layout, log: str) -> str:
    return PROGRAM.format(
        name=process.name,
        command=" ".join(f'"{_escaped(part)}"' for part in process.launcher(layout)),
        retries=RETRIES,
        stop_signal=process.stop_signal,
        stop_seconds=process.stop_seconds,
        log=log,
        log_bytes=LOG_BYTES,
    )


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def start(layout: Layout, *, end_with_parent: bool) -> None:
    """Start supervisord in its own session, so that the terminal's Ctrl-C reaches only the main process.

    With `end_with_parent` (Linux) it also ends if this process is killed.
    """
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(layout.supervisor_config)]
    supervisor = Process(NAME, command, {OWNER: str(os.getpid())}, end_with_parent=end_with_parent)
    supervisor.write(layout)
    with (layout.log / "supervisord.out").open("w") as output:
        process = subprocess.Popen(
            supervisor.launcher(layout),
            env=commands.plain_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not is_running(layout):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"supervisord did not start; see the logs in {layout.log}.")
        time.sleep(0.05)


def call(layout: Layout, method: str, *arguments: Any) -> Any:
    """Call supervisord's XML-RPC; xmlrpc.client.Fault if it refuses, OSError if it is not running."""
    transport = SupervisorTransport(None, None, f"unix://{layout.socket}")
    try:
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        return getattr(proxy.supervisor, method)(*arguments)
    finally:
        transport.close()


def is_running(layout: Layout) -> bool:
    """Return whether this stack's supervisord answers and will not end soon."""
    return _state(layout) == SupervisorStates.RUNNING and not _has_lost_its_owner(layout)


def _has_lost_its_owner(layout: Layout) -> bool:
    # It may take a second to notice that its parent is gone.
    description = layout.processes / f"{NAME}.json"
    spec = json.loads(description.read_text())
    if not spec["end_with_parent"]:
        return False
    try:
        process = psutil.Process(json.loads(description.with_suffix(".pid").read_text())["pid"])
        return bool(process.ppid() != int(spec["environment"][OWNER]))
    except psutil.NoSuchProcess:
        return True


def is_gone(layout: Layout) -> bool:
    """Return whether supervisord has ended."""
    return _state(layout) is None


def _state(layout: Layout) -> int | None:
    try:
        return int(call(layout, "getState")["statecode"])
    except xmlrpc.client.Fault:  # its answer to everything while it shuts down
        return int(SupervisorStates.SHUTDOWN)
    except (OSError, http.client.HTTPException):
        return None


def shut_down(layout: Layout) -> None:
    """Ask supervisord to stop all processes and to end."""
    if is_running(layout):
        call(layout, "shutdown")
