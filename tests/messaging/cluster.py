"""A cluster of three brokers of these tests' own, whose nodes can be frozen, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from kafka import KafkaAdminClient

from stack import broker, readiness
from stack.ports import HOST, choose
from stack.state import State
from tests.messaging.waiting import eventually

NODES = (1, 2, 3)
STOP_SECONDS = 20


class Cluster:
    """Three nodes, each a broker and a controller, with the settings of `make up BROKERS=3`."""

    def __init__(self, directory: Path) -> None:
        ports = choose(
            {f"{kind}-{number}": 0 for number in NODES for kind in ("kafka", "control")}, avoid_defaults=True
        )
        self.nodes = {
            number: broker.Node(number, ports[f"kafka-{number}"], ports[f"control-{number}"], directory / str(number))
            for number in NODES
        }
        self.addresses = [f"{HOST}:{node.port}" for node in self.nodes.values()]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        nodes, state = list(self.nodes.values()), State()
        state.cluster_id()  # one for all
        with ThreadPoolExecutor() as pool:
            list(pool.map(partial(broker.prepare, cluster=nodes, state=state), nodes))

    def start(self, numbers: Iterable[int] = NODES) -> None:
        """Start the nodes and wait until all three are there."""
        for number in numbers:
            node = self.nodes[number]
            with (node.directory / "output").open("ab") as output:
                command = broker.process(node, short_lived=True).command
                self._processes[number] = subprocess.Popen(command, stdout=output, stderr=output)
        eventually(lambda: readiness.kafka(",".join(self.addresses), len(NODES)), 240)

    def leaders(self, topic: str) -> dict[int, int]:
        """Return the node that leads each partition of the topic."""
        return {part["partition_index"]: part["leader_id"] for part in self._partitions(topic)}

    def in_sync(self, topic: str) -> bool:
        """Tell whether every replica of the topic has everything."""
        return all(len(part["isr_nodes"]) == len(NODES) for part in self._partitions(topic))

    def _partitions(self, topic: str) -> list[dict]:  # type: ignore[type-arg]
        client = KafkaAdminClient(bootstrap_servers=self.addresses)
        try:
            [found] = client.describe_topics([topic])
            return list(found["partitions"])
        finally:
            client.close()

    def signal(self, number: int, name: signal.Signals) -> None:
        os.kill(self._processes[number].pid, name)

    def kill(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number].wait(STOP_SECONDS)

    def kill_all(self) -> None:
        for number in self._processes:
            self.kill(number)
