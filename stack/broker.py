"""Apache Kafka in KRaft mode, from Maven's artifacts: one node, or three static voters for fault tests."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stack import commands, prerequisites
from stack.layout import CACHE, ROOT, Layout, file_lock
from stack.ports import HOST
from stack.process import Process
from stack.progress import tell
from stack.state import State

POM = ROOT / "stack" / "kafka" / "pom.xml"
LOGGING = ROOT / "stack" / "kafka" / "log4j2.yaml"
# Small data, short runs: a small heap and the serial collector (fewest threads) are enough.
JVM = ("-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={LOGGING}")
# In a process of a few minutes, the second compiler would cost more than it saves.
SHORT_LIVED = "-XX:TieredStopAtLevel=1"
LONG_LIVED = "-XX:TieredStopAtLevel=4"
INTERNAL_PARTITIONS = 4  # the default of 50 per internal topic makes the first start seconds slower
JARS_TOLD_EVERY = 10


@dataclass(frozen=True)
class Node:
    """One broker, which is also a controller."""

    number: int
    port: int
    controller_port: int
    directory: Path

    @property
    def name(self) -> str:
        return "kafka" if self.number == 1 else f"kafka-{self.number}"

    @property
    def properties(self) -> Path:
        return self.directory / "server.properties"


def ports(brokers: int) -> dict[str, int]:
    """Return the default ports by name."""
    names = ["kafka", *(f"kafka-{number}" for number in range(2, brokers + 1))]
    return {
        port: 9092 + 2 * index + offset
        for index, name in enumerate(names)
        for offset, port in enumerate((name, f"{name}-controller"))
    }


def nodes(layout: Layout, state: State, brokers: int) -> list[Node]:
    """Return the nodes of this stack's cluster."""
    names = ["kafka", *(f"kafka-{number}" for number in range(2, brokers + 1))]
    return [
        Node(number, state.ports[name], state.ports[f"{name}-controller"], layout.directory / name)
        for number, name in enumerate(names, start=1)
    ]


def jars() -> Path:
    """Return the folder of Kafka's jars in the shared cache."""
    return CACHE / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def _java(*options: str) -> list[str]:
    """Return how a command that runs a program of Kafka begins, with the archive of its classes if there is one."""
    java = prerequisites.java()
    shared = [f"-XX:SharedArchiveFile={_archive(java)}"] if _archive(java).exists() else []
    return [java, *JVM, *options, *shared, "-cp", f"{jars()}/*"]


def _archive(java: str) -> Path:
    """Return the file from which this Java takes Kafka's classes, ready to use; it fits one Java and one class path."""
    program = Path(java).resolve()
    made = program.stat().st_mtime_ns if program.exists() else 0
    fits = hashlib.sha256(f"{program} {made} {jars()}".encode()).hexdigest()
    return jars().with_name(f"{jars().name}-{fits[:12]}.jsa")


def _run(*program: str | Path) -> None:
    """Run a program of Kafka to its end. The first one leaves the archive: three seconds once, one less a start."""
    archive = _archive(prerequisites.java())
    draft = archive.with_suffix(f".{os.getpid()}")
    leaving = [] if archive.exists() or not jars().exists() else [f"-XX:ArchiveClassesAtExit={draft}"]
    commands.run([*_java(SHORT_LIVED, *leaving), *program])
    if draft.exists():
        draft.rename(archive)


def obtain() -> None:
    """Get what a broker needs (Java and the jars); StackError says what is missing."""
    prerequisites.ensure(maven_too=not jars().exists())
    fetch_jars()


def fetch_jars() -> None:
    """Fetch Kafka's jars by Maven, if the cache does not have them."""
    with file_lock(CACHE / "kafka.lock"):
        if not jars().exists():
            _fetch(jars())


def _fetch(folder: Path) -> None:
    draft = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    tell("Maven fetches Apache Kafka (about 45 jars, 43 MB, only once) …")
    target = [f"-DoutputDirectory={draft}", "-DincludeScope=runtime", f"-Dmaven.repo.local={CACHE / 'maven'}"]
    commands.run(["mvn", "-B", "-f", POM, "dependency:copy-dependencies", *target], on_line=_jar_counter())
    draft.rename(folder)
    shutil.rmtree(CACHE / "maven", ignore_errors=True)


def _jar_counter() -> Callable[[str], None]:
    count = 0

    def on_line(line: str) -> None:
        nonlocal count
        if "Downloaded" in line and ".jar" in line:
            count += 1
            if count % JARS_TOLD_EVERY == 0:
                tell(f"… {count} files fetched")

    return on_line


def prepare(node: Node, cluster: list[Node], state: State) -> None:
    """Write the node's properties; at the first start also format its storage."""
    node.directory.mkdir(parents=True, exist_ok=True)
    settings = _settings(node, cluster) | (_FOR_TESTS if state.for_tests else {})
    node.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    if (node.directory / "data" / "meta.properties").exists():
        return
    alone = ["--standalone"] if len(cluster) == 1 else []
    _run("kafka.tools.StorageTool", "format", *alone, "-t", state.cluster_id(), "-c", node.properties)


def _settings(node: Node, cluster: list[Node]) -> dict[str, object]:
    voters = ",".join(f"{other.number}@{HOST}:{other.controller_port}" for other in cluster)
    controllers = ",".join(f"{HOST}:{other.controller_port}" for other in cluster)
    alone = len(cluster) == 1
    quorum = {"controller.quorum.bootstrap.servers": controllers} if alone else {"controller.quorum.voters": voters}
    return quorum | _addresses(node) | _durability(len(cluster)) | ({} if alone else _QUICK_FAILOVER)


def _addresses(node: Node) -> dict[str, object]:
    listener = f"PLAINTEXT://{HOST}:{node.port}"
    return {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "listeners": f"{listener},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"{listener},CONTROLLER://{HOST}:{node.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": node.directory / "data",
    }


def _durability(brokers: int) -> dict[str, object]:
    factors = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    partitions = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    minimum = max(1, brokers - 1)
    return {
        **{f"{name}.replication.factor": brokers for name in factors},
        **{f"{name}.num.partitions": INTERNAL_PARTITIONS for name in partitions},
        "transaction.state.log.min.isr": minimum,
        "share.coordinator.state.topic.min.isr": minimum,
        "min.insync.replicas": minimum,
        "default.replication.factor": brokers,
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
    }


#: So that tests need not wait for the six seconds after which a broker first gives a killed member's partitions away.
_FOR_TESTS: dict[str, object] = {"group.min.session.timeout.ms": 1000}

_QUICK_FAILOVER: dict[str, object] = {
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
    "controller.quorum.fetch.timeout.ms": 1000,
    "controller.quorum.election.timeout.ms": 500,
}


def process(node: Node, *, short_lived: bool = False) -> Process:
    """Return the node as a process of the stack; a `short_lived` one runs only for minutes."""
    compiler = SHORT_LIVED if short_lived else LONG_LIVED
    command = [*_java(compiler), "kafka.Kafka", str(node.properties)]
    return Process(node.name, command, directory=str(node.directory), stop_seconds=15)
