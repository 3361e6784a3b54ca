"""Runs several commands of a service as manage.py does, each in a process of its own, and starts Django once for all.

`python -m tests.journeys.many_commands` reads a JSON list of argument lists (service, command, …) and writes one of
[exit code, what was printed, what was printed on stderr].
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import IO

import django

import manage


def main() -> None:
    """Run what stdin asks for."""
    django.setup()
    results = [in_a_process(lambda: manage.main(["manage.py", *each])) for each in json.load(sys.stdin)]  # noqa: B023
    json.dump(results, sys.stdout)


def in_a_process(act: Callable[[], object]) -> tuple[int, str, str]:
    """Fork, let the child exit with what `act` returns or raises, and return its exit code and output."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            _exit_with(act)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), _text(out), _text(errors)


def _exit_with(act: Callable[[], object]) -> None:
    """End this process as the interpreter does at the end of a program."""
    code: object = 1
    try:
        code = act()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


if __name__ == "__main__":
    main()
