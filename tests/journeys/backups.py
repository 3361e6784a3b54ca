"""Backups of a service's database server, taken while it works, and put in the place of what came after them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from stack import commands, control, postgres
from stack.layout import Layout
from stack.ports import HOST
from stack.state import State
from tests.journeys.databases import Databases
from tests.journeys.waiting import eventually


def back_up(service: str) -> Path:
    """Take a base backup of the running server, as an operator would, and return its folder."""
    place, state = postgres.folder(Layout.current(), service), State.load(Layout.current())
    _allow_replication(place, state, service)
    backup, port = place / "backup", str(state.ports[f"postgres-{service}"])
    shutil.rmtree(backup, ignore_errors=True)
    where = ["--host", HOST, "--port", port, "--username", postgres.SUPERUSER, "--pgdata", backup]
    password = {"PGPASSWORD": state.secret(f"{service} superuser")}
    commands.run(
        [postgres.PROGRAMS / "pg_basebackup", *where, "--wal-method=stream", "--checkpoint=fast", "--no-sync"],
        environment=password,
        directory=place,
    )
    _give_to_server(backup)
    return backup


def _allow_replication(place: Path, state: State, service: str) -> None:
    rules = place / "data" / "pg_hba.conf"
    rule = f"host replication {postgres.SUPERUSER} {HOST}/32 scram-sha-256\n"
    if rule not in rules.read_text():
        rules.write_text(rules.read_text() + rule)
    with closing(postgres.connect(state, service)) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT pg_reload_conf()")


def _give_to_server(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, postgres.UNPRIVILEGED_USER)


@contextmanager
def restored(service: str, backup: Path, databases: Databases) -> Iterator[None]:
    """Let the server run on its backup for a with block, and on what it had before from then on."""
    data = backup.with_name("data")
    newer = backup.with_name("newer")
    _swap(service, {data: newer, backup: data}, databases)
    try:
        yield
    finally:
        _swap(service, {data: backup, newer: data}, databases)


def _swap(service: str, moves: dict[Path, Path], databases: Databases) -> None:
    control.stop(f"postgres-{service}")
    for old, new in moves.items():
        old.rename(new)
    control.start(f"postgres-{service}")
    eventually(lambda: databases.reconnect(service), f"the database of {service}")
