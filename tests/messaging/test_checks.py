"""System checks: each names what a service needs before it starts, and what to do."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
from django.core import checks as django_checks

from messaging import Event, event, registry, subscribe
from messaging.checks import (
    crc32c_is_installed,
    handlers_fit_topology,
    kafka_python_has_its_private_parts,
    kafka_python_is_the_tried_version,
)
from messaging.kafka import patches


@event("sample.Elsewhere.v1", topic="sample.elsewhere", key="key")
class Elsewhere(Event):
    """An event on a topic that no group of the sample reads."""

    key: str


@pytest.fixture
def on_elsewhere(request):
    """A handler of that event, in the group that a test names."""
    subscribe(Elsewhere, replay="skip", name="sample.on_elsewhere", group=getattr(request, "param", None))(print)
    handler = registry.handler_named("sample.on_elsewhere")
    yield handler
    registry.remove(handler)


def messages() -> list[str]:
    return [message.id for message in django_checks.run_checks() if message.id.startswith("messaging.")]


def test_the_sample_passes():
    assert messages() == []


def test_a_missing_crc32c_is_a_warning_that_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "crc32c" else find(name))

    [found] = crc32c_is_installed()

    assert messages() == ["messaging.W001"]
    assert found.level == django_checks.WARNING
    assert "kafka-python[crc32c]" in found.hint


def test_another_version_of_kafka_python_is_a_warning(monkeypatch):
    assert kafka_python_is_the_tried_version() == []
    monkeypatch.setattr("kafka.__version__", "3.1.0")

    [found] = kafka_python_is_the_tried_version()

    assert messages() == ["messaging.W002"]
    assert "kafka-python 3.1.0 is installed" in found.msg


def test_a_handler_whose_group_does_not_read_its_topic_stops_the_start(on_elsewhere):
    [found] = handlers_fit_topology()

    assert messages() == ["messaging.E001"]
    assert found.level == django_checks.ERROR
    assert "sample.on_elsewhere subscribes to sample.elsewhere, which group 'sample-" in found.msg
    assert "config/topology.py" in found.hint


@pytest.mark.parametrize("on_elsewhere", ["no-such-group"], indirect=True)
def test_a_handler_in_a_group_that_does_not_exist_stops_the_start(on_elsewhere):
    [found] = handlers_fit_topology()

    assert "which group 'no-such-group' does not read" in found.msg


@pytest.mark.parametrize("on_elsewhere", ["elsewhere"], indirect=True)
def test_a_handler_in_a_further_group_is_fine_when_that_reads_its_topic(on_elsewhere, settings):
    groups = {**settings.MESSAGING["GROUPS"], "elsewhere": ["sample.elsewhere"]}
    settings.MESSAGING = {**settings.MESSAGING, "GROUPS": groups}

    assert handlers_fit_topology() == []


def test_a_topic_that_two_groups_read_stops_the_start(settings):
    groups = settings.MESSAGING["GROUPS"]
    topic = next(iter(groups.values()))[0]
    settings.MESSAGING = {**settings.MESSAGING, "GROUPS": {**groups, "another": [topic]}}

    assert messages() == ["messaging.E003"]


def test_a_private_part_that_kafka_python_lacks_stops_the_start(monkeypatch):
    monkeypatch.delattr("kafka.producer.sender.Sender.force_close")
    monkeypatch.setitem(patches.PRIVATE_PARTS, "kafka.consumer.group:KafkaConsumer", ("_coordinator", "_gone"))

    [problem] = kafka_python_has_its_private_parts()

    assert problem.id == "messaging.E004"
    assert problem.msg.endswith("kafka.consumer.group:KafkaConsumer._gone, kafka.producer.sender:Sender.force_close")


def test_every_private_name_that_the_patches_use_is_checked_at_start():
    listed = {name for names in patches.PRIVATE_PARTS.values() for name in names}
    used = {
        node.attr
        for path in Path(patches.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
    }
    assert used <= listed
