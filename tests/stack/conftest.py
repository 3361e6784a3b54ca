"""A stack's folder in the temporary directory; nothing is started in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.topology import SERVICES
from stack import broker, commands, environment
from stack.layout import Layout
from stack.state import State


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Directories are made; the shared cache stays untouched."""
    made = Layout(tmp_path / "a stack")
    for directory in (made.directory, made.log, made.processes, made.postgres):
        directory.mkdir()
    return made


@pytest.fixture
def state() -> State:
    """Ports of every part, as a first start would choose them; nothing listens there."""
    names = [*(f"postgres-{name}" for name in SERVICES), *broker.ports(3), "redis", *SERVICES]
    made = State(ports={name: 20_000 + number for number, name in enumerate(names)})
    made.addresses = environment.addresses(made)
    return made


@pytest.fixture
def values(state: State, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the env file would hold."""
    for name in ("KAFKA_PARTITIONS", "KAFKA_REPLICATION_FACTOR"):
        monkeypatch.delenv(name, raising=False)
    return environment.variables(state, {}, replication_factor=1)


@pytest.fixture(autouse=True)
def _commands_may_run() -> Iterator[None]:
    commands.allow()
    yield
    commands.allow()
