"""Lays a proxy between every service and its database and Kafka."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

from config.topology import SERVICES
from stack import control, environment, readiness
from stack.layout import Layout
from stack.ports import HOST, choose
from stack.process import Process
from stack.state import State
from tests.faults.proxy import Network
from tests.journeys.waiting import eventually

START_SECONDS = 180.0
#: The settings of a broker that name its listeners.
LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")


def link_name(service: str, server: str) -> str:
    """Return the name of the link between a service and its `database`, or `kafka`."""
    return f"{service}-{server}"


class Routes:
    """The links of one stack, and the addresses that its services use instead of the true ones."""

    def __init__(self, layout: Layout, network: Network) -> None:
        self._layout = layout
        self._network = network
        names = [link_name(service, server) for service in SERVICES for server in ("database", "kafka", "listener")]
        self._ports = _beside(set(State.load(layout).ports.values()), names)

    def lay(self) -> None:
        """Open the links; Kafka restarts, with a listener for each service, since it tells clients where to go."""
        ports = State.load(self._layout).ports
        for service in SERVICES:
            name = link_name(service, "database")
            self._network.add(name, self._ports[name], ports[f"postgres-{service}"])
            name = link_name(service, "kafka")
            self._network.add(name, self._ports[name], self._ports[link_name(service, "listener")])
        control.stop("kafka", layout=self._layout)
        self._give_each_service_a_listener()
        control.start("kafka", layout=self._layout)
        server = environment.read(self._layout)["KAFKA_BOOTSTRAP_SERVERS"]
        what = "Kafka to start with its further listeners"
        eventually(lambda: readiness.kafka(server, 1), what, seconds=START_SECONDS)

    def _give_each_service_a_listener(self) -> None:
        path = self._layout.directory / "kafka" / "server.properties"
        lines = dict(line.split("=", 1) for line in path.read_text().splitlines())
        for name in LISTS:
            lines[name] = _without_services(lines[name])
        for service in SERVICES:
            own = service.upper()
            lines["listeners"] += f",{own}://{HOST}:{self._ports[link_name(service, 'listener')]}"
            lines["advertised.listeners"] += f",{own}://{HOST}:{self._ports[link_name(service, 'kafka')]}"
            lines["listener.security.protocol.map"] += f",{own}:PLAINTEXT"
        path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def through(self, process: Process, service: str) -> Process:
        """Return a service's process as one that reaches its servers through the links."""
        variable = f"{service.upper()}_DATABASE_URL"
        url = urlsplit(process.environment[variable])
        place = f"{url.username}:{url.password}@{HOST}:{self._ports[link_name(service, 'database')]}"
        changed = {
            variable: url._replace(netloc=place).geturl(),
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{self._ports[link_name(service, 'kafka')]}",
        }
        return dataclasses.replace(process, environment=process.environment | changed)


def _without_services(listeners: str) -> str:
    """Leave out what an earlier run has added."""
    own = tuple(f"{service.upper()}:" for service in SERVICES)
    return ",".join(each for each in listeners.split(",") if not each.startswith(own))


def _beside(taken: set[int], names: list[str]) -> dict[str, int]:
    """Choose ports other than those that the stack has chosen, on which nobody listens yet."""
    while taken & set((found := choose(dict.fromkeys(names, 0), avoid_defaults=True)).values()):
        continue
    return found
