"""A foreign consumer in one of our consumer groups, as somebody's console consumer: it reads and commits nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from tests.journeys.waiting import eventually

#: What a console consumer calls itself, or similar.
CLIENT_ID = "console-consumer"
JOIN_SECONDS = 60.0
#: The least that a broker accepts by default.
SESSION_TIMEOUT_MS = 6000


class ForeignMember:
    """A member of `group` that polls on a thread of its own."""

    def __init__(self, bootstrap_servers: str | list[str], group: str, topic: str) -> None:
        self.partitions: set[int] = set()
        self._stopping = threading.Event()
        self._consumer = KafkaConsumer(
            topic,
            bootstrap_servers=bootstrap_servers,
            group_id=group,
            client_id=CLIENT_ID,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=500,
        )
        self._thread = threading.Thread(target=self._run, name="foreign-member", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._consumer.poll(timeout_ms=200)
                self.partitions = {tp.partition for tp in self._consumer.assignment()}
            except KafkaError:
                self._stopping.wait(0.5)  # the broker is in trouble

    def leave(self) -> None:
        """Leave the group; without effect when it has left already."""
        self._stopping.set()
        self._thread.join(JOIN_SECONDS)
        self._consumer.close(timeout_ms=5000)


@contextmanager
def foreign_member(bootstrap_servers: str | list[str], group: str, topic: str) -> Iterator[ForeignMember]:
    """Keep a foreign member in a group for the with block, from the moment it has been given partitions."""
    member = ForeignMember(bootstrap_servers, group, topic)
    try:
        eventually(lambda: member.partitions, "the group to give partitions to the stranger", seconds=JOIN_SECONDS)
        yield member
    finally:
        member.leave()
