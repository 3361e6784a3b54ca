"""Processes beside those of the stack: commands of manage.py, and a second worker of a service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil

from config.topology import SERVICES
from stack import commands, control, environment
from stack.layout import ROOT, Layout

COMMAND_SECONDS = 120.0
STOP_SECONDS = 30.0


def manage(service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py <service> …` with the service's own variables, as the stack gives them."""
    own = environment.for_service(SERVICES[service], environment.read(Layout.current()), {})
    return manage_with(own, service, *arguments)


def manage_with(variables: Mapping[str, str], service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py <service> …` with these variables and no other."""
    return subprocess.run(
        [sys.executable, "manage.py", service, *arguments],
        cwd=ROOT,
        env=commands.plain_environment() | dict(variables),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def manage_many(service: str, commands_of: Sequence[Sequence[str]]) -> list[subprocess.CompletedProcess[str]]:
    """Run several commands as `manage` does, one after the other, for little more than the time of one."""
    own = environment.for_service(SERVICES[service], environment.read(Layout.current()), {})
    asked = [[service, *arguments] for arguments in commands_of]
    done = subprocess.run(
        [sys.executable, "-m", "tests.journeys.many_commands"],
        input=json.dumps(asked),
        cwd=ROOT,
        env=commands.plain_environment() | own,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=True,
    )
    return [
        subprocess.CompletedProcess(arguments, code, out, errors)
        for arguments, (code, out, errors) in zip(asked, json.loads(done.stdout), strict=True)
    ]


@contextmanager
def second_worker(name: str, *options: str, variables: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run another worker like the stack's `name` (`order-worker`) for the with block; gives its process id.

    `options` are further ones of its command, such as --no-consumer; `variables` win over those of its environment.
    """
    description = json.loads((Layout.current().processes / f"{name}.json").read_text())
    command = [part.replace("@%h", "-second@%h") for part in description["command"]] + list(options)
    own = commands.plain_environment() | description["environment"] | dict(variables or {})
    with (Layout.current().log / f"{name}-second.log").open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=output, stderr=output)
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def stopped(name: str) -> Iterator[None]:
    """Keep a process of the stack stopped for the with block."""
    control.stop(name)
    try:
        yield
    finally:
        control.start(name)


@contextmanager
def frozen(name: str) -> Iterator[None]:
    """Keep a process of the stack frozen (SIGSTOP) for the with block."""
    control.kill(name, "SIGSTOP")
    try:
        yield
    finally:
        control.kill(name, "SIGCONT")


def environment_of(name: str) -> dict[str, str]:
    """Return the variables with which a process of the stack runs now."""
    return psutil.Process(control.pid(name)).environ()
