"""The default port where it is free, else another one, which is announced."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from stack import ports
from stack.errors import StackError
from stack.ports import CHOICE, HOST, choose, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.socket() as server:
        server.bind((HOST, 0))
        return int(server.getsockname()[1])


def test_a_free_default_is_used_and_nothing_is_told(free: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose({"kafka": free}) == {"kafka": free}
    assert capsys.readouterr().err == ""


def test_instead_of_a_taken_default_a_free_port_is_used_and_told(
    taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = choose({"kafka": taken})["kafka"]

    assert chosen in CHOICE
    assert is_free(chosen)
    assert f"Port {taken} is taken: kafka uses {chosen}." in capsys.readouterr().err


def test_a_stack_of_tests_leaves_the_defaults_free(free: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose({"kafka": free}, avoid_defaults=True)["kafka"] in CHOICE
    assert capsys.readouterr().err == ""


def test_no_port_is_given_twice(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([25_000, 25_000, 25_000, 25_001])
    monkeypatch.setattr(ports.random, "choice", lambda _: next(numbers))
    monkeypatch.setattr(ports, "is_free", lambda port: port != taken)

    assert choose({"one": taken, "two": taken}) == {"one": 25_000, "two": 25_001}


def test_a_machine_without_a_free_port_is_told_so(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACK_PORTS", raising=False)  # a lane of the tests has a range of its own
    monkeypatch.setattr(ports, "CHOICE", range(taken, taken + 1))

    with pytest.raises(StackError, match=f"No free port was found on {HOST} between {taken}"):
        choose({"kafka": taken})


def test_stacks_that_start_at_the_same_time_choose_from_a_range_each(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACK_PORTS", "21500-21510")

    chosen = choose({str(number): taken for number in range(3)}).values()

    assert all(port in range(21_500, 21_510) for port in chosen)
