"""The network between a service and its servers, made worse on purpose."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from stack.ports import HOST, choose
from tests.faults.proxy import DOWN, UP, Network

BRIEF_SECONDS = 0.3
PATIENT_SECONDS = 30.0
DELAY_SECONDS = 0.2


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    """A server that says everything again; its socket tells the port."""
    server = socket.create_server((HOST, 0))
    threading.Thread(target=serve, args=[server], daemon=True).start()
    with closing(server):
        yield server


def serve(server: socket.socket) -> None:
    try:
        while True:
            accepted, _ = server.accept()
            threading.Thread(target=repeat, args=[accepted], daemon=True).start()
    except OSError:
        return  # the test is over


def repeat(accepted: socket.socket) -> None:
    with closing(accepted):
        try:
            while said := accepted.recv(65536):
                accepted.sendall(said)
        except OSError:
            return


@pytest.fixture
def network(echo: socket.socket) -> Iterator[Network]:
    with Network() as running:
        running.add("link", choose({"link": 0}, avoid_defaults=True)["link"], echo.getsockname()[1])
        yield running


@contextmanager
def client(network: Network, link: str = "link") -> Iterator[socket.socket]:
    with socket.create_connection((HOST, network.links[link].port), timeout=PATIENT_SECONDS) as connected:
        yield connected


def ask(connected: socket.socket, text: bytes) -> bytes:
    connected.sendall(text)
    return hear(connected, len(text))


def hear(connected: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size:
        chunk = connected.recv(65536)
        if not chunk:
            break
        heard += chunk
    return heard


def test_a_link_carries_everything_unchanged_in_both_directions(network: Network):
    text = bytes(range(256)) * 4000
    with client(network) as one, client(network) as other:
        threading.Thread(target=one.sendall, args=[text], daemon=True).start()
        assert hear(one, len(text)) == text
        assert ask(other, b"beside it") == b"beside it"


def test_a_cut_ends_connections_and_lets_no_new_one_through_until_it_is_mended(network: Network):
    with client(network) as connected:
        assert ask(connected, b"before") == b"before"
        network.change("link", is_cut=True)
        with pytest.raises(ConnectionError):
            ask(connected, b"during")
        with pytest.raises(ConnectionError), client(network) as another:
            ask(another, b"during")
    network.change("link")
    with client(network) as later:
        assert ask(later, b"after") == b"after"


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_what_is_lost_in_one_direction_arrives_when_that_is_over(network: Network, direction: str):
    with client(network) as connected:
        assert ask(connected, b"before") == b"before"
        network.change("link", lost=direction)
        connected.settimeout(BRIEF_SECONDS)
        with pytest.raises(TimeoutError):
            ask(connected, b"held")
        connected.settimeout(PATIENT_SECONDS)
        network.change("link")
        assert hear(connected, 4) == b"held"


def test_a_delay_is_added_on_both_ways(network: Network):
    network.change("link", delay=DELAY_SECONDS)
    with client(network) as connected:
        began = time.monotonic()
        assert ask(connected, b"slow") == b"slow"
        assert time.monotonic() - began >= 2 * DELAY_SECONDS


def test_a_server_that_is_away_looks_like_a_refused_connection(network: Network):
    ports = choose({"link": 0, "nobody": 0}, avoid_defaults=True)
    network.add("to nobody", ports["link"], ports["nobody"])
    with pytest.raises(ConnectionError), client(network, "to nobody") as connected:
        ask(connected, b"anyone?")
