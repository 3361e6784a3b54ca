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
from tests.messaging.waiting import eventually

STOP_SECONDS = 20


class Broker:
    """One node in `directory`; its address stays the same over restarts."""

    def __init__(self, directory: Path) -> None:
        ports = choose({"kafka": 21_092, "kafka-controller": 21_093})
        self.node = broker.Node(1, ports["kafka"], ports["kafka-controller"], directory)
        self.address = f"{HOST}:{self.node.port}"
        broker.prepare(self.node, [self.node], State())

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self.node.directory / "output").open("ab") as output:
            self.process = subprocess.Popen(broker.process(self.node).command, stdout=output, stderr=output)
        eventually(self._answers, 60)

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
