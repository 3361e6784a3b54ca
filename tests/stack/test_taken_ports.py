"""A port that another process takes between its choice and the server's start: the stack goes on with another one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from config.topology import SERVICES
from stack import environment, lifecycle, readiness
from stack.layout import Layout
from stack.lifecycle import Options
from stack.ports import HOST
from stack.state import State


@pytest.fixture
def stolen() -> Iterator[int]:
    """The port of another process."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        yield int(other.getsockname()[1])


def test_a_server_whose_port_was_taken_starts_on_another_one(
    layout: Layout, stolen: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    choose, calls = lifecycle.choose, []

    def choose_too_early(*arguments: Any, **options: Any) -> dict[str, int]:
        calls.append(choose(*arguments, **options))
        return calls[-1] | ({"redis": stolen} if len(calls) == 1 else {})

    monkeypatch.setattr(lifecycle, "choose", choose_too_early)
    for name in environment.REPLACEABLE:  # those of the run that this test is part of
        monkeypatch.delenv(name, raising=False)
    try:
        options = Options(for_tests=True, end_with_parent=True, servers={"redis"})
        values = lifecycle.start_infrastructure(layout, options)

        assert str(stolen) not in values["CELERY_BROKER_URL"]
        assert readiness.redis(values["CELERY_BROKER_URL"])
    finally:
        lifecycle.stop(layout)
    assert f"Another process has taken port {stolen} of redis meanwhile" in capfd.readouterr().err


def test_a_service_whose_port_was_taken_gets_another_one(layout: Layout, state: State, stolen: int) -> None:
    state.ports = {name: number for number, name in enumerate(lifecycle.PORTS, 1)}
    state.ports |= {f"postgres-{name}": 5 for name in SERVICES} | {name: 1 for name in SERVICES} | {"order": stolen}
    state.save(layout)
    before = {name: "kept" for name in ("ORDER_SECRET_KEY",)} | environment.addresses(state)

    after = lifecycle._with_free_ports(layout, before)

    assert after["ORDER_URL"] != before["ORDER_URL"] == f"http://{HOST}:{stolen}"
    assert {name for name in after if after[name] != before[name]} == {"ORDER_URL"}
    assert environment.read(layout) == after
    assert lifecycle._with_free_ports(layout, after) == after
