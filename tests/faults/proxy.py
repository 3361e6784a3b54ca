"""A TCP proxy that can be slow, cut or deaf in one direction: the network between a service and its servers.

`Network` runs all links on one thread of its own; everything public may be called from any thread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stack.ports import HOST

CHUNK_BYTES = 256 * 1024
START_SECONDS = 10.0
#: The directions of a link, as its client sees them.
UP, DOWN = "up", "down"


@dataclass(eq=False)
class Link:
    """What a client reaches under `port` is `target`, through the weather of the moment.

    What is lost in one direction is held back as long as that lasts: TCP would send it again until it gets through.
    """

    name: str
    port: int
    target: int
    delay: float = 0.0
    is_cut: bool = False
    lost: set[str] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _weather: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self, *, delay: float = 0.0, is_cut: bool = False, lost: str = "") -> None:
        """Set the weather (on the network's thread); by default all is well again."""
        self.delay, self.is_cut, self.lost = delay, is_cut, {lost} - {""}
        self._weather.set()
        self._weather.clear()
        if is_cut:
            self.break_connections()

    def break_connections(self) -> None:
        """End every connection at once, as a reset does."""
        for writer in tuple(self._writers):
            _reset(writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self.is_cut:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            _reset(writer)
            return
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._carry(reader, far_writer, UP), self._carry(far_reader, writer, DOWN))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                await self._pass(direction)
                writer.write(chunk)
                await writer.drain()
            await self._pass(direction)
            writer.close()
        except OSError:
            writer.transport.abort()

    async def _pass(self, direction: str) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        while direction in self.lost:
            await self._weather.wait()


class Network:
    """Links that share a thread, for the length of a with block."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Network:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end_tasks)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, name: str, port: int, target: int) -> Link:
        """Open a link: who connects to `port` of this machine talks to `target`."""
        link = self.links[name] = Link(name, port, target)
        self._do(lambda: asyncio.start_server(link.serve, HOST, port))
        return link

    def change(self, name: str, **weather: Any) -> None:
        """Set the weather of a link, as Link.change()."""
        self._do(lambda: _at_once(lambda: self.links[name].change(**weather)))

    def heal(self) -> None:
        """Let all be well on every link."""
        for name in self.links:
            self.change(name)

    def _do(self, make: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return await make()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(START_SECONDS)

    async def _end_tasks(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _at_once(act: Callable[[], None]) -> None:
    act()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST instead of FIN: its other end must not take it for a farewell."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
