"""A TCP proxy before PostgreSQL that can stand still: what is sent to it is taken, and nothing is passed on.

To a client that is what a frozen server looks like: the kernel acknowledges, and nobody answers.
"""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

POLL_SECONDS = 0.05


class Gate:
    """Passes everything between its clients and the server at `address`, while it is `open`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.open = threading.Event()
        self.open.set()
        self._address = address
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End it, and every connection that goes through it."""
        self._closing.set()
        self.open.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            if select.select([self._listener], [], [], POLL_SECONDS)[0] and self.open.is_set():
                thread = threading.Thread(target=self._pass, args=[self._listener.accept()[0]])
                self._threads.append(thread)
                thread.start()

    def _pass(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._address) as server:
            other = {client: server, server: client}
            while not self._closing.is_set():
                ready = select.select(list(other), [], [], POLL_SECONDS)[0]
                self.open.wait()
                for side in ready:
                    data = side.recv(65_536)
                    if not data:
                        return
                    other[side].sendall(data)
