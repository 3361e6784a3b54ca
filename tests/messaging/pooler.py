"""A real PgBouncer that pools transactions, between a test's processes and the test's database."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

from stack import prerequisites
from stack.ports import HOST, choose
from tests.messaging.waiting import eventually

STOP_SECONDS = 10
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} password={password}

[pgbouncer]
listen_addr = {host}
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
ignore_startup_parameters = {ignored}
"""


def server() -> dict[str, Any]:
    """Return the test's database without a pooler, as in Django's DATABASES."""
    return {name: connection.settings_dict[name] for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME")}


@contextmanager
def pooler(folder: Path, *, ignored: str = "extra_float_digits") -> Iterator[int]:
    """Run PgBouncer for the length of a with block; yields its port. `ignored` are start-up parameters it drops."""
    port, direct = choose({"pooler": 0}, avoid_defaults=True)["pooler"], server()
    places = {"host": HOST, "port": direct["PORT"], "user": direct["USER"], "password": direct["PASSWORD"]}
    file = folder / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(own_port=port, ignored=ignored, **places))
    folder.chmod(0o755)
    command = [prerequisites.pooler(), *(["-u", "nobody"] if os.geteuid() == 0 else []), str(file)]
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
