"""Starts a process of a service as the stack does, with crash points and maybe a mutation in it.

`python -m tests.faults.start MUTATION celery -A config.celery worker …`; MUTATION is `none`, or a name in mutations.py.
"""

from __future__ import annotations

import dataclasses
import runpy
import sys

from stack.process import Process
from tests.faults import crash_points

NO_MUTATION = "none"
HOSTED = ("celery", "gunicorn")
STARTER = "tests.faults.start"


def started_here(process: Process, mutation: str = NO_MUTATION) -> Process:
    """Return a process of the stack as one that is started by this module, also when it is already."""
    python, option, *command = process.command
    if command[0] == STARTER:
        command = command[2:]
    if option != "-m" or command[0] not in HOSTED:
        raise ValueError(f"{process.name} is none of {HOSTED}: {process.command}")
    return dataclasses.replace(process, command=[python, "-m", STARTER, mutation, *command])


def main(mutation: str) -> None:
    """Prepare this process and become the module that is named in the arguments that are left."""
    crash_points.install()
    if mutation != NO_MUTATION:
        import django

        from tests.faults import mutations

        django.setup()
        mutations.MUTATIONS[mutation]()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    name = sys.argv[1]
    sys.argv = sys.argv[2:]
    main(name)
