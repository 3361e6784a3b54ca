"""Starts and stops a whole stack, partly in parallel, and leaves no process running."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from config.topology import SERVICES
from stack import (
    broker,
    commands,
    control,
    environment,
    postgres,
    prerequisites,
    readiness,
    redis_server,
    services,
    supervision,
)
from stack.errors import AlreadyRunning, StackError
from stack.layout import Layout
from stack.parallel import in_parallel
from stack.ports import choose, is_free
from stack.process import Process, stop_recorded
from stack.progress import tell
from stack.state import State

PORTS = {"postgres": 5441, "redis": 6390}
SHUT_DOWN_SECONDS = 20.0
#: Starts until every port was still free when its server began to listen.
PORT_ATTEMPTS = 3


@dataclass(frozen=True)
class Options:
    """How a stack is started.

    `for_tests` begins with empty data and lets the services' roles create databases. `end_with_parent` (Linux) ends the
    stack also if the process that started it is killed. `settings` override the variables of every service. `adapt` may
    change a service's process before its description is written (fault tests: a proxy's address, a start module).
    `servers` names the parts of the infrastructure to start; None: all of them. A `short_lived` stack is for one test
    run: its PostgreSQL does not wait for the disk, and its Kafka uses only the first compiler.
    """

    for_tests: bool = False
    end_with_parent: bool = False
    brokers: int = field(default_factory=lambda: int(os.environ.get("BROKERS") or 1))
    settings: Mapping[str, str] = field(default_factory=dict)
    adapt: Callable[[Process], Process] = lambda process: process
    servers: Collection[str] | None = None
    short_lived: bool = False

    def starts(self, part: str) -> bool:
        """Return whether this part of the infrastructure is to be started."""
        return self.servers is None or part in self.servers


def start_infrastructure(layout: Layout, options: Options) -> dict[str, str]:
    """Start PostgreSQL, Kafka and Redis, unless the caller's environment replaces them; return the env file.

    A port that another process took between its choice and the server's start is replaced by another one.
    StackError if the stack is already running or a part does not start.
    """
    layout.create()
    with layout.locked():
        if supervision.is_running(layout):
            raise AlreadyRunning(f"The stack in {layout.directory} is already running; stop it with `make down`.")
        for _ in range(PORT_ATTEMPTS - 1):
            try:
                return _start_infrastructure(layout, options)
            except StackError:
                _stop_servers(layout)
                if not _a_port_was_taken(layout):
                    raise
        return _start_infrastructure(layout, options)


def _a_port_was_taken(layout: Layout) -> bool:
    """Return whether another process has one of the ports; nothing of this stack runs."""
    taken = {name: port for name, port in State.load(layout).ports.items() if not is_free(port)}
    for name, port in taken.items():
        tell(f"Another process has taken port {port} of {name} meanwhile: starting again with other ports.")
    return bool(taken)


def _start_infrastructure(layout: Layout, options: Options) -> dict[str, str]:
    commands.allow()
    _wait_shut_down(layout)
    stop_recorded(layout)
    replaced = environment.replaced(layout)
    if options.for_tests:
        _empty(layout)
    state = State.load(layout)
    if "KAFKA_BOOTSTRAP_SERVERS" not in replaced and options.starts("kafka"):
        prerequisites.ensure(maven_too=not broker.jars().exists())
    values = _decide(layout, state, replaced, options)
    parts = _parts(layout, state, replaced, options)
    own = [process for part in parts.values() for process in part.processes]
    supervision.write_config(layout, [*own, *services.processes(layout, values, options.settings)])
    supervision.start(layout, end_with_parent=options.end_with_parent)
    tell(f"Starting {', '.join(parts)} …" if parts else "The environment replaces all parts.")
    in_parallel({name: partial(part.start, layout) for name, part in parts.items()})
    return values


def _empty(layout: Layout) -> None:
    """Remove the data of an earlier test run; StackError if they do not come from tests."""
    if layout.state.exists() and not State.load(layout).for_tests:
        raise StackError(f"{layout.directory} holds the data of `make up`: set STACK_DIR to another folder for tests.")
    for path in (*layout.directory.glob("kafka*"), *layout.postgres.iterdir()):
        shutil.rmtree(path)
    for path in (layout.state, *layout.directory.glob("beat-*")):
        path.unlink(missing_ok=True)


def _decide(layout: Layout, state: State, replaced: Mapping[str, str], options: Options) -> dict[str, str]:
    """Choose the ports, write the env file and return it."""
    databases = {f"postgres-{name}": PORTS["postgres"] + index for index, name in enumerate(SERVICES)}
    webs = {name: service.port for name, service in SERVICES.items()}
    defaults = databases | broker.ports(options.brokers) | {"redis": PORTS["redis"]} | webs
    state.ports = choose(defaults, avoid_defaults=options.for_tests)
    state.addresses = environment.addresses(state)
    values = environment.variables(state, replaced, replication_factor=options.brokers)
    state.make_secrets(SERVICES)
    state.for_tests = options.for_tests
    state.save(layout)
    environment.write(layout, values)
    return values


@dataclass(frozen=True)
class Part:
    """A part of the infrastructure: its preparation, its processes, and the step after their start."""

    processes: list[Process]
    before: Callable[[], None]
    is_ready: Callable[[], bool]
    after: Callable[[], None]

    def start(self, layout: Layout) -> None:
        """Start the part and wait until it is ready."""
        self.before()
        for process in self.processes:
            control.start(process.name, wait=False, layout=layout)
        readiness.wait([process.name for process in self.processes], self.is_ready, layout)
        self.after()


def _nothing() -> None:
    """Do nothing: the part has no such step."""


def _parts(layout: Layout, state: State, replaced: Mapping[str, str], options: Options) -> dict[str, Part]:
    parts = {
        f"postgres-{name}": _postgres(layout, state, name, options)
        for name in SERVICES
        if f"{name.upper()}_DATABASE_URL" not in replaced
    }
    if "KAFKA_BOOTSTRAP_SERVERS" not in replaced:
        parts["kafka"] = _kafka(layout, state, options)
    if "CELERY_BROKER_URL" not in replaced:
        is_ready = partial(readiness.redis, state.addresses["CELERY_BROKER_URL"])
        parts["redis"] = Part([redis_server.process(state)], _nothing, is_ready, _nothing)
    return {name: part for name, part in parts.items() if options.starts(name)}


def _postgres(layout: Layout, state: State, name: str, options: Options) -> Part:
    return Part(
        [postgres.process(layout, state, name, synced=not options.short_lived)],
        before=partial(postgres.initialise, layout, state, name),
        is_ready=partial(postgres.answers, state, name),
        after=partial(postgres.create_role, state, name, may_create_databases=options.for_tests),
    )


def _kafka(layout: Layout, state: State, options: Options) -> Part:
    cluster = broker.nodes(layout, state, options.brokers)

    def before() -> None:
        broker.fetch_jars()
        with ThreadPoolExecutor(max_workers=len(cluster)) as pool:
            list(pool.map(partial(broker.prepare, cluster=cluster, state=state), cluster))

    is_ready = partial(readiness.kafka, state.addresses["KAFKA_BOOTSTRAP_SERVERS"], options.brokers)
    return Part([broker.process(node, short_lived=options.short_lived) for node in cluster], before, is_ready, _nothing)


def start_services(layout: Layout, values: Mapping[str, str], options: Options) -> dict[str, str]:
    """Update tables, topics and accounts, start the processes of all services and wait for their /readyz.

    Return the env file: a port that another process has taken meanwhile is replaced by another one.
    """
    with layout.locked():
        values = _with_free_ports(layout, values)
        in_parallel(
            {
                f"{name}: tables, topics, account": partial(services.prepare, service, values, options.settings)
                for name, service in SERVICES.items()
            }
        )
        for _ in range(PORT_ATTEMPTS - 1):
            try:
                return _start_on_ports(layout, values, options)
            except StackError:
                stop_services(layout)
                before, values = values, _with_free_ports(layout, values)
                if values == before:
                    raise
                commands.allow()
        return _start_on_ports(layout, values, options)


def _start_on_ports(layout: Layout, values: Mapping[str, str], options: Options) -> dict[str, str]:
    for process in services.processes(layout, values, options.settings):
        options.adapt(process).write(layout)
    in_parallel({f"{name} service": partial(_start_service, layout, values, name) for name in SERVICES})
    return dict(values)


def _with_free_ports(layout: Layout, values: Mapping[str, str]) -> dict[str, str]:
    """Return the env file with another port for each service whose port another process has; no service runs."""
    state = State.load(layout)
    taken = [name for name in SERVICES if not is_free(urlsplit(values[f"{name.upper()}_URL"]).port or 0)]
    if not taken:
        return dict(values)
    state.ports |= choose({name: state.ports[name] for name in taken})
    state.addresses = environment.addresses(state)
    state.save(layout)
    changed = dict(values) | {f"{name.upper()}_URL": state.addresses[f"{name.upper()}_URL"] for name in taken}
    environment.write(layout, changed)
    return changed


def _start_service(layout: Layout, values: Mapping[str, str], name: str) -> None:
    """Start beat last: nothing waits for it, and the CPUs are busy."""
    web, *workers, beat = services.names(SERVICES[name])
    for process in (web, *workers):
        control.start(process, wait=False, layout=layout)
    readiness.wait([web, *workers], partial(_answers, layout, values[f"{name.upper()}_URL"], web), layout)
    control.start(beat, wait=False, layout=layout)
    for process in (web, *workers, beat):
        control.wait_running(process, layout=layout)


def _answers(layout: Layout, url: str, process: str) -> bool:
    # Another stack that took the port meanwhile would also answer.
    return services.is_ready(url) and control.listens(process, urlsplit(url).port or 0, layout=layout)


def stop_services(layout: Layout) -> None:
    """Stop the processes of all services; the infrastructure stays."""
    own = {name for service in SERVICES.values() for name in services.names(service)}
    control.stop_all([name for name in control.names(layout=layout) if name in own], layout=layout)


def stop(layout: Layout) -> None:
    """Stop everything that this stack started, also the processes of a killed supervisord. Safe to repeat."""
    layout.create()
    with layout.locked():
        if supervision.is_running(layout):
            stop_services(layout)
        _stop_servers(layout)


def _stop_servers(layout: Layout) -> None:
    """Stop every process that runs; the caller has the stack's lock."""
    if supervision.is_running(layout):
        control.stop_all(control.names(layout=layout), layout=layout)
        supervision.shut_down(layout)
    _wait_shut_down(layout)
    stop_recorded(layout)


def _wait_shut_down(layout: Layout) -> None:
    deadline = time.monotonic() + SHUT_DOWN_SECONDS
    while not supervision.is_gone(layout) and time.monotonic() < deadline:
        time.sleep(0.05)
