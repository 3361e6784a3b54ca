"""A process that has imported what children need and forks them: a start costs a tenth of an interpreter's.

It imports only what reads no settings. A child imports the rest itself, from its own environment, as every start does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LARGEST_REQUEST = 2**17
IMPORTED = (
    *("celery.apps.worker", "celery.bin.celery", "celery.concurrency.thread", "celery.events.state", "celery.worker"),
    *("celery.worker.components", "celery.worker.consumer", "celery.worker.control", "celery.worker.strategy"),
    *("django.core.management", "django.db.backends.postgresql.base", "environ", "kafka", "kafka.admin"),
    *("kombu.transport.redis", "msgspec", "psutil", "psycopg2"),
)


class Child:
    """A process that the server forked. It takes the calls of subprocess.Popen that these tests need."""

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self._code: int | None = None
        self.pid = int(answers.recv(32))

    def poll(self) -> int | None:
        """Return the exit code, the negative signal number, or None while the process runs."""
        return self._code_within(0)

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code; TimeoutExpired after `timeout` seconds."""
        code = self._code_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return code

    def _code_within(self, seconds: float) -> int | None:
        if self._code is None and select.select([self._answers], [], [], seconds)[0]:
            self._code = int(self._answers.recv(32))
            self._answers.close()
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(module: str, *arguments: str, environment: Mapping[str, str], output: int | None = None) -> Child:
    """Run `python -m module …` with exactly this environment; `output` is a file descriptor, by default our own two."""
    request = json.dumps([module, arguments, dict(environment)]).encode()
    assert len(request) < LARGEST_REQUEST
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        files = [theirs.fileno(), *([1, 2] if output is None else [output, output])]
        socket.send_fds(_server(), [request], files)
    return Child(ours)


@cache
def _server() -> socket.socket:
    """Start the server, which ends when this process does, and return the way to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.messaging.forkserver", str(theirs.fileno())]
        subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    return ours


def serve(requests: socket.socket) -> bytes:
    """Fork a child for each request. Return the request in the child, and nothing in the server at its end."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, files, *_ = socket.recv_fds(requests, LARGEST_REQUEST, 3)
        if not request:
            return b""
        if os.fork() == 0:
            requests.close()
            _fork_watched(files)
            return request
        for each in files:
            os.close(each)


def _fork_watched(files: list[int]) -> None:
    """Fork once more and return in the child; its parent stays only to tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        _watch(child, files[0])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in ((1, files[1]), (2, files[2])):
        os.dup2(file, number)
    for file in files:
        os.close(file)


def _watch(child: int, answers: int) -> None:
    try:
        os.write(answers, str(child).encode())
        os.write(answers, str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
    finally:
        os._exit(0)


def become(request: bytes) -> None:
    """Be the process that was asked for."""
    module, arguments, environment = json.loads(request)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked:
        become(asked)
