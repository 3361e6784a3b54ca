"""Where events stand: their topics are in the one table, belong to the publisher, and are keyed as it says."""

from __future__ import annotations

import pytest

from config.topology import SERVICES, TOPICS
from messaging.event import EventSpec, all_specs
from tests.contracts.examples import EXAMPLES, golden

SPECS = [spec for spec in all_specs() if spec.type in EXAMPLES]
each_event = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.type)


@each_event
def test_an_event_stands_on_a_topic_of_its_publisher(spec: EventSpec) -> None:
    publisher = SERVICES[spec.cls.__module__.split(".")[1]]

    assert spec.topic in {topic.name for topic in publisher.topics}
    assert spec.source == f"/{publisher.name}"


@each_event
def test_an_event_is_keyed_as_its_topic_says(spec: EventSpec) -> None:
    assert spec.key.replace("_", " ") == TOPICS[spec.topic].key


@each_event
def test_the_golden_file_names_the_same_topic_and_key(spec: EventSpec) -> None:
    expected = golden(spec.type)

    assert expected["topic"] == spec.topic
    assert expected["key"] == str(getattr(EXAMPLES[spec.type], spec.key))


@each_event
def test_an_event_of_a_compacted_topic_has_a_version(spec: EventSpec) -> None:
    assert not TOPICS[spec.topic].compacted or "version" in spec.cls.__struct_fields__


def test_topics_keyed_by_order_id_are_not_compacted() -> None:
    assert not [topic.name for topic in TOPICS.values() if topic.key == "order id" and topic.compacted]


def test_every_topic_that_is_consumed_has_one_owner() -> None:
    owned = [topic.name for service in SERVICES.values() for topic in service.topics]
    consumed = {topic for service in SERVICES.values() for group in service.groups for topic in group.topics}

    assert len(owned) == len(set(owned))
    assert consumed <= set(owned)
