"""The one table fits together: what is consumed is owned, nothing is named twice, partitions line up."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import TypeVar

import pytest

from config.env import VARIABLES
from config.topology import COUPON, ORDER, PRODUCT, SERVICES, TOPICS, Service

T = TypeVar("T")
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
GROUPS = [group for service in SERVICES.values() for group in service.groups]


def twice(items: list[T]) -> list[T]:
    return [item for item, count in Counter(items).items() if count > 1]


def test_ports_apps_topics_and_groups_are_unique() -> None:
    services = SERVICES.values()

    assert not twice([service.port for service in services])
    assert not twice([service.app for service in services])
    assert not twice([topic.name for service in services for topic in service.topics])
    assert not twice([group.name for group in GROUPS])


def test_every_consumed_topic_is_owned_by_somebody() -> None:
    assert not [topic for group in GROUPS for topic in group.topics if topic not in TOPICS]


def test_a_topic_begins_with_its_owners_name() -> None:
    owned = [(service.name, topic.name) for service in SERVICES.values() for topic in service.topics]

    assert not [name for owner, name in owned if not name.startswith(f"{owner}.")]


@each_service
def test_a_service_reads_a_topic_with_one_group_only(service: Service) -> None:
    assert service.groups
    assert not twice([topic for group in service.groups for topic in group.topics])


@each_service
def test_a_service_has_its_modules(service: Service) -> None:
    assert find_spec(service.settings_module)
    assert find_spec(f"config.urls.{service.name}")
    assert find_spec(f"{service.app}.handlers")


def test_the_answers_to_an_order_have_its_key_and_partitions() -> None:
    """What is keyed by the order id must be cut into as many partitions everywhere: there is one setting for all."""
    saga = ["order.events", "product.events", "coupon.events"]

    assert {TOPICS[name].key for name in saga} == {"order id"}
    assert [each.name for each in VARIABLES if each.name.endswith("_PARTITIONS")] == ["KAFKA_PARTITIONS"]


def test_orders_reach_every_participant_and_their_answers_come_back() -> None:
    assert "order.events" in PRODUCT.groups[0].topics
    assert "order.events" in COUPON.group("coupon").topics
    assert {"product.events", "coupon.events"} <= set(ORDER.groups[0].topics)


def test_claims_have_a_group_of_their_own() -> None:
    assert COUPON.group("coupon-claims").topics == ("coupon.claims",)
    with pytest.raises(KeyError):
        ORDER.group("coupon-claims")
