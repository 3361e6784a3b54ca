"""A TCP proxy in this process: it passes everything, until a test loses one direction, holds one up, or cuts all.

What is lost is read and thrown away, and its connection ends when the loss does: TCP gives no stream with a gap.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Literal

HOST = "127.0.0.1"
CHUNK = 65_536
POLL_SECONDS = 0.01

#: What the client sends, or what the server answers.
Direction = Literal["requests", "answers"]


class Proxy:
    """Listens on `port` and connects each client to `target` (a port of this host)."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self._lost: set[Direction] = set()
        self._held: set[Direction] = set()
        self._links: set[Link] = set()
        self._listener = socket.create_server((HOST, port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def has_lost(self) -> bool:
        """Whether an open connection has lost bytes."""
        return any(link.broken for link in list(self._links))

    @contextlib.contextmanager
    def losing(self, *directions: Direction) -> Iterator[None]:
        """Throw away what goes in these directions; connections that lost something end with the with block."""
        self._lost.update(directions)
        try:
            yield
        finally:
            self._lost.difference_update(directions)
            self.cut(only_broken=True)

    @contextlib.contextmanager
    def holding(self, *directions: Direction) -> Iterator[None]:
        """Let what goes in these directions arrive only after the with block."""
        self._held.update(directions)
        try:
            yield
        finally:
            self._held.difference_update(directions)

    def cut(self, *, only_broken: bool = False) -> None:
        """End the connections; the clients may connect again."""
        for link in list(self._links):
            if link.broken or not only_broken:
                link.close()

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self.target))
            except OSError:
                client.close()
                continue
            link = Link(client, server)
            self._links.add(link)
            for source, sink, direction in ((client, server, "requests"), (server, client, "answers")):
                threading.Thread(
                    target=self._pump, args=[link, source, sink, direction], name="proxy", daemon=True
                ).start()

    def _pump(self, link: Link, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                while direction in self._held:
                    time.sleep(POLL_SECONDS)
                if direction in self._lost:
                    link.broken = True
                if not link.broken:
                    sink.sendall(data)
        link.close()
        self._links.discard(link)


class Link:
    """A client's connection and the one to the server for it; `broken` once bytes of it were lost."""

    def __init__(self, *sockets: socket.socket) -> None:
        self.broken = False
        self._sockets = sockets

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextlib.contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Run a Proxy for the length of a with block."""
    running = Proxy(target)
    try:
        yield running
    finally:
        running.close()
