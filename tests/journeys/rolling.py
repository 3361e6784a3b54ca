"""A rolling restart, as docs/howto/rolling-deployment.md has it: the new process works before the old one ends."""

from __future__ import annotations

import os
import signal

import psutil

from config.topology import SERVICES
from stack import control
from stack.layout import Layout
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.processes import second_worker
from tests.journeys.waiting import eventually

GROUPS = [group.name for service in SERVICES.values() for group in service.groups]


def restart_worker(group: str, log: ForeignClient) -> None:
    """Start a further worker of the group, restart the one of the stack, and let the further one go again."""
    with second_worker(f"{group}-worker"):
        wait_for_members(group, 2, log)
        control.stop(f"{group}-worker")
        wait_for_members(group, 1, log)
        control.start(f"{group}-worker")
        wait_for_members(group, 2, log)
    wait_for_members(group, 1, log)


def wait_for_members(group: str, number: int, log: ForeignClient) -> None:
    """Wait until the group has so many members, each with partitions."""
    eventually(
        lambda: len(shares := log.shares(group)) == number and all(shares),
        f"{number} members of {group}",
        state=lambda: log.shares(group),
    )


def restart_web(service: str) -> None:
    """Let gunicorn start a process with the new code beside the old one, and end the old one when the new one works."""
    surge_web(service)
    drain_web(service)


def surge_web(service: str) -> int:
    """Start a second process, wait until it takes requests, and return its id."""
    master = psutil.Process(control.pid(f"{service}-web"))
    before = {child.pid for child in master.children()}
    os.kill(master.pid, signal.SIGTTIN)
    [new] = eventually(lambda: {child.pid for child in master.children()} - before, f"a second process of {service}")
    eventually(lambda: f"process {new} takes requests" in said(f"{service}-web"), f"{new} to take requests")
    return new


def drain_web(service: str) -> None:
    """Let the older of two processes end its requests and go."""
    master = psutil.Process(control.pid(f"{service}-web"))
    oldest = min(master.children(), key=psutil.Process.create_time)
    os.kill(master.pid, signal.SIGTTOU)
    eventually(lambda: not oldest.is_running(), f"{oldest} to end")


def said(name: str) -> str:
    """Return the log of a process of the stack."""
    return (Layout.current().log / f"{name}.log").read_text(errors="replace")
