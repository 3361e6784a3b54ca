"""Waits until a part of the stack is ready."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence

import redis as redis_client
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from stack import commands, control
from stack.errors import StackError
from stack.layout import Layout

SECONDS = 180.0
POLL_SECONDS = 0.1
BROKEN = ("BACKOFF", "EXITED", "FATAL", "STOPPED")


def wait(names: Sequence[str], is_ready: Callable[[], bool], layout: Layout) -> None:
    """Wait until `is_ready`. If one of the processes ends, or after SECONDS: StackError with the end of its log."""
    deadline = time.monotonic() + SECONDS
    while not is_ready():
        commands.raise_if_stopped()
        for name in names:
            found = control.state(name, layout=layout)
            if found in BROKEN or time.monotonic() > deadline:
                end = control.log_end(name, layout=layout)
                raise StackError(f"{name} did not start ({found}); {layout.log / name}.log ends:\n{end}")
        time.sleep(POLL_SECONDS)


def redis(url: str) -> bool:
    """Return whether Redis answers."""
    try:
        with redis_client.Redis.from_url(url, socket_timeout=2) as client:
            return bool(client.ping())
    except redis_client.RedisError:
        return False


def kafka(bootstrap_servers: str, brokers: int) -> bool:
    """Return whether the cluster has all its brokers."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it logs every refused connection
    if not all(_listens(address) for address in bootstrap_servers.split(",")):
        return False  # the client below would retry for seconds
    try:
        client = KafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=5000)
        try:
            return len(client.describe_cluster()["brokers"]) == brokers
        finally:
            client.close()
    except (KafkaError, OSError):
        return False


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
