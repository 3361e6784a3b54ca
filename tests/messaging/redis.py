"""A Redis of a test's own, which the test may make refuse writes, stop and start again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from redis import Redis as Client
from redis.exceptions import ConnectionError as RedisConnectionError

from stack import redis_server
from stack.ports import HOST, choose
from stack.state import State
from tests.messaging.waiting import eventually

STOP_SECONDS = 10


class Redis:
    """A real server on a port of its own."""

    def __init__(self) -> None:
        self.port = choose({"redis": 0}, avoid_defaults=True)["redis"]
        self.url = f"redis://{HOST}:{self.port}/0"
        self._client: Any = Client(host=HOST, port=self.port)

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = redis_server.process(State(ports={"redis": self.port})).command
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self._client.ping())
        except RedisConnectionError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS)

    def send_task(self, app: Celery, name: str) -> None:
        """Send a task, as beat does; the server keeps it until a worker takes it."""
        with app.connection_for_write(url=self.url) as connection:
            app.send_task(name, connection=connection, retry=False)

    def has_no_task(self) -> bool:
        """Return whether a worker has taken, and acknowledged, every task."""
        keys = [key for key in self._client.scan_iter() if self._client.type(key) in (b"list", b"hash")]
        return not keys

    def miss_replicas(self, missing: bool = True) -> None:
        """Refuse writes with NOREPLICAS, as a primary whose replicas are gone; or take them again."""
        self._client.config_set("min-replicas-to-write", int(missing))

    def follow_nobody(self, following: bool = True) -> None:
        """Refuse writes with READONLY, as a former primary after a failover; or take them again."""
        self._client.replicaof(*((HOST, "1") if following else ("NO", "ONE")))

    def be_full(self, full: bool = True) -> None:
        """Refuse writes with OOM; or take them again."""
        self._client.config_set("maxmemory", int(full))


@contextmanager
def redis() -> Iterator[Redis]:
    """Run a Redis for the length of a with block."""
    server = Redis()
    server.start()
    try:
        yield server
    finally:
        server.stop()
