"""A service's role: its rights in SQL, and the server that it is made on. (The journeys try them on real servers.)"""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

from stack import commands, postgres
from stack.errors import StackError
from stack.layout import Layout
from stack.state import State


def text_of(part: Any) -> str:
    """Write a statement out; psycopg2 itself would need a connection for that."""
    if isinstance(part, sql.Composed):
        return "".join(text_of(each) for each in part.seq)
    if isinstance(part, sql.Identifier):
        return ".".join(f'"{name}"' for name in part.strings)
    if isinstance(part, sql.Literal):
        return f"'{part.wrapped}'"
    return str(part.string)


class Server:
    """Stands in for a server's connection and cursor: keeps the statements; `existing` are rows that it has."""

    def __init__(self, *existing: str) -> None:
        self.statements: list[str] = []
        self._existing = existing
        self._found = False

    def cursor(self) -> Server:
        return self

    __enter__ = cursor

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def close(self) -> None:
        """Nothing to close."""

    def execute(self, statement: Any, parameters: Any = None) -> None:
        text = text_of(statement)
        self._found = bool(parameters) and any(f'"{each}"' in text for each in self._existing)
        if not text.startswith("SELECT"):
            self.statements.append(text)

    def fetchone(self) -> tuple[int] | None:
        return (1,) if self._found else None


def create_role(server: Server, state: State, monkeypatch: pytest.MonkeyPatch, *, for_tests: bool) -> list[str]:
    monkeypatch.setattr(postgres, "connect", lambda state, service: server)
    postgres.create_role(state, "order", may_create_databases=for_tests)
    return server.statements


def test_a_role_owns_one_database_and_nobody_else_may_enter(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = create_role(Server(), state, monkeypatch, for_tests=False)

    secret = state.secret("order database")
    assert statements[0] == 'CREATE ROLE "order_service"'
    assert f"ALTER ROLE \"order_service\" LOGIN NOSUPERUSER NOCREATEDB PASSWORD '{secret}'" in statements
    assert 'CREATE DATABASE "order_service" OWNER "order_service"' in statements
    assert statements[-1] == 'REVOKE ALL ON DATABASE "order_service" FROM PUBLIC'


def test_only_a_role_of_tests_may_create_databases(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = create_role(Server(), state, monkeypatch, for_tests=True)

    assert [each for each in statements if " CREATEDB " in each]


def test_a_lock_ends_before_a_statement_and_that_before_an_idle_transaction(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = create_role(Server(), state, monkeypatch, for_tests=False)

    for name, value in postgres.ROLE_SETTINGS.items():
        assert f'ALTER ROLE "order_service" SET "{name}" = \'{value}\'' in statements
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    seconds = [int(postgres.ROLE_SETTINGS[name].removesuffix("s")) for name in names]
    assert seconds == sorted(set(seconds))
    assert seconds[-1] < 10  # the consumer's session timeout


def test_what_exists_is_brought_up_to_date_and_not_made_again(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = create_role(Server("pg_roles", "pg_database"), state, monkeypatch, for_tests=False)

    assert not [each for each in statements if each.startswith("CREATE")]
    assert [each for each in statements if "PASSWORD" in each]


def test_a_server_listens_on_its_own_port_and_ends_its_sessions_when_stopped(layout: Layout, state: State) -> None:
    process = postgres.process(layout, state, "coupon")

    assert (process.name, process.stop_signal) == ("postgres-coupon", "INT")
    assert f"port={state.ports['postgres-coupon']}" in process.command
    assert "listen_addresses=127.0.0.1" in process.command
    assert str(layout.postgres / "coupon" / "data") in process.command


def test_root_gives_its_rights_away_and_others_need_not(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.os, "geteuid", lambda: 1000)
    assert postgres._as_unprivileged(layout.postgres) == []

    monkeypatch.setattr(postgres.os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres.shutil, "which", lambda name: None)
    with pytest.raises(StackError, match="install util-linux"):
        postgres._as_unprivileged(layout.postgres)


def test_a_data_folder_that_is_complete_is_left_alone(
    layout: Layout, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = layout.postgres / "order" / "complete"
    complete.parent.mkdir()
    complete.touch()
    monkeypatch.setattr(commands, "run", lambda *_, **__: pytest.fail("initdb was run"))

    postgres.initialise(layout, state, "order")


@pytest.mark.parametrize(("said", "foreign"), [("password authentication failed for user", True), ("refused", False)])
def test_a_server_with_another_password_is_another_stacks(
    said: str, foreign: bool, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise psycopg2.OperationalError(said)

    monkeypatch.setattr(postgres, "connect", refuse)

    if foreign:
        with pytest.raises(StackError, match="postgres-order belongs to another stack. Set STACK_DIR"):
            postgres.answers(state, "order")
    else:
        assert postgres.answers(state, "order") is False
