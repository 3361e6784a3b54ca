"""Kafka's generated configuration: one node, and three voters for fault tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import broker, commands, prerequisites
from stack.layout import Layout
from stack.state import State


@pytest.fixture
def formatted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would format the storage; none is run."""
    ran: list[list[str]] = []
    monkeypatch.setattr(prerequisites, "java", lambda: "/usr/bin/java")
    monkeypatch.setattr(commands, "run", lambda command: ran.append([str(part) for part in command]))
    return ran


LEAVING = "-XX:ArchiveClassesAtExit="


def properties(node: broker.Node) -> dict[str, str]:
    return dict(line.split("=", 1) for line in node.properties.read_text().splitlines())


def prepared(layout: Layout, state: State, brokers: int) -> list[dict[str, str]]:
    cluster = broker.nodes(layout, state, brokers)
    for node in cluster:
        broker.prepare(node, cluster, state)
    return [properties(node) for node in cluster]


def test_default_ports_are_two_for_each_broker_and_never_the_same() -> None:
    assert broker.ports(1) == {"kafka": 9092, "kafka-controller": 9093}
    assert len(set(broker.ports(3).values())) == len(broker.ports(3)) == 6


def test_a_single_node_is_its_own_controller_and_keeps_one_replica(
    layout: Layout, state: State, formatted: list[list[str]]
) -> None:
    [found] = prepared(layout, state, 1)

    assert found["process.roles"] == "broker,controller"
    assert found["controller.quorum.bootstrap.servers"] == f"127.0.0.1:{state.ports['kafka-controller']}"
    assert found["listeners"].startswith(f"PLAINTEXT://127.0.0.1:{state.ports['kafka']},")
    assert (found["default.replication.factor"], found["min.insync.replicas"]) == ("1", "1")
    assert "--standalone" in formatted[0]


def test_three_nodes_are_static_voters_and_survive_the_loss_of_one(
    layout: Layout, state: State, formatted: list[list[str]]
) -> None:
    found = prepared(layout, state, 3)

    [voters] = {each["controller.quorum.voters"] for each in found}
    assert [voter.split("@")[0] for voter in voters.split(",")] == ["1", "2", "3"]
    assert [each["node.id"] for each in found] == ["1", "2", "3"]
    assert len({each["listeners"] for each in found}) == len({each["log.dirs"] for each in found}) == 3
    for each in found:
        assert (each["default.replication.factor"], each["min.insync.replicas"]) == ("3", "2")
        assert each["offsets.topic.replication.factor"] == each["transaction.state.log.replication.factor"] == "3"
    assert not any("--standalone" in command for command in formatted)
    assert {command[command.index("-t") + 1] for command in formatted} == {state.cluster_id()}


def test_topics_are_never_made_by_being_asked_for(layout: Layout, state: State, formatted: list[list[str]]) -> None:
    assert {each["auto.create.topics.enable"] for each in prepared(layout, state, 3)} == {"false"}


def test_a_storage_that_was_formatted_is_left_alone(layout: Layout, state: State, formatted: list[list[str]]) -> None:
    prepared(layout, state, 1)
    (layout.directory / "kafka" / "data").mkdir()
    (layout.directory / "kafka" / "data" / "meta.properties").touch()
    prepared(layout, state, 1)

    assert len(formatted) == 1


def test_a_node_runs_on_its_own_properties(layout: Layout, state: State, formatted: list[list[str]]) -> None:
    first, second = broker.nodes(layout, state, 2)

    assert (broker.process(first).name, broker.process(second).name) == ("kafka", "kafka-2")
    assert broker.process(second).command[-2:] == ["kafka.Kafka", str(second.properties)]


def test_the_jars_are_fetched_anew_when_the_pinned_versions_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = broker.jars()
    changed = tmp_path / "pom.xml"
    changed.write_text(broker.POM.read_text().replace("4.", "5."))
    monkeypatch.setattr(broker, "POM", changed)

    assert broker.jars() != before


def test_the_first_format_leaves_an_archive_of_classes_which_later_programs_use(
    layout: Layout, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jars").mkdir()
    ran: list[str] = []

    def run(command: list[str]) -> None:
        ran.append(" ".join(str(part) for part in command))
        for part in command:
            if str(part).startswith(LEAVING):
                Path(str(part).removeprefix(LEAVING)).touch()

    monkeypatch.setattr(prerequisites, "java", lambda: "/usr/bin/java")
    monkeypatch.setattr(broker, "jars", lambda: tmp_path / "jars")
    monkeypatch.setattr(commands, "run", run)
    cluster = broker.nodes(layout, state, 3)

    for node in cluster:
        broker.prepare(node, cluster, state)

    [archive] = tmp_path.glob("*.jsa")
    assert [LEAVING in command for command in ran] == [True, False, False]
    assert [f"-XX:SharedArchiveFile={archive}" in command for command in ran] == [False, True, True]
    assert f"-XX:SharedArchiveFile={archive}" in broker.process(cluster[0]).command
