"""A Kafka broker of these tests' own, to freeze and stop without disturbing the shared stack."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from stack import broker
from stack.ports import HOST, choose
from stack.state import State
from tests.messaging.proxy import Proxy
from tests.messaging.waiting import eventually

STOP_SECONDS = 20


class Broker:
    """One node in `directory`; its address stays the same over restarts.

    Who comes by `proxied_address` has every connection of his through `proxy`; who comes by `address` has none.
    """

    def __init__(self, directory: Path) -> None:
        ports = choose({"kafka": 0, "kafka-controller": 0, "kafka-proxied": 0}, avoid_defaults=True)
        self.node = broker.Node(1, ports["kafka"], ports["kafka-controller"], directory)
        self.address = f"{HOST}:{self.node.port}"
        self.proxy = Proxy(ports["kafka-proxied"])
        self.proxied_address = self.proxy.address
        broker.prepare(self.node, [self.node], State())
        self._configure()

    def _configure(self) -> None:
        """Add a listener that tells its clients to come by the proxy, and allow short session timeouts."""
        settings = dict(line.split("=", 1) for line in self.node.properties.read_text().splitlines())
        settings["listeners"] += f",PROXIED://{HOST}:{self.proxy.target}"
        settings["advertised.listeners"] += f",PROXIED://{self.proxied_address}"
        settings["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        settings["group.min.session.timeout.ms"] = "1000"
        self.node.properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self.node.directory / "output").open("ab") as output:
            command = broker.process(self.node, short_lived=True).command
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        eventually(self._answers, 240)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.node.port)) == 0

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it in order; a frozen one is woken first."""
        self.wake()
        self.process.terminate()
        self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(STOP_SECONDS)
