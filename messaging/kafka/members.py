"""Who is in a consumer group by Kafka: its members, and the partitions that the group has given to each."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    GroupAuthorizationFailedError,
    GroupIdNotFoundError,
    KafkaError,
    UnknownTopicOrPartitionError,
    for_code,
)
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

from messaging.conf import conf
from messaging.kafka.clients import admin, client_id_of, reader
from messaging.kafka.patches.private_calls import described_group, log_ends
from messaging.kafka.records import newest_partition

logger = logging.getLogger(__name__)

#: The state of a group that has shared the partitions out; in any other one its members show none.
STABLE = "Stable"
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a consumer group. Its client chose the `client_id`, the broker the `member_id`."""

    member_id: str
    client_id: str
    host: str
    partitions: frozenset[Place]

    def __str__(self) -> str:
        return f"client id {' '.join(self.client_id.split())[:100]}, host {self.host}, member {self.member_id[:200]}"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a service reads a topic, by Kafka.

    `alive`: whether one of its workers is in its group. `unassigned`: the partitions that none of them has. `foreign`:
    the other members. `offsets`: what the group has committed. `ends`: the offset after each partition's last record.
    `is_stable`: whether the group has shared the partitions out; if not, nobody can tell which are unassigned.
    """

    alive: bool
    unassigned: frozenset[int]
    foreign: tuple[Member, ...]
    offsets: Mapping[int, int]
    ends: Mapping[int, int]
    is_stable: bool = True

    def partition_of(self, key: str) -> int:
        """Return the partition of a key's newest records."""
        return newest_partition(key.encode(), len(self.ends))

    def is_starved(self, partition: int) -> bool:
        """Return whether the service lives, and has records to read that none of its workers is given."""
        return self.alive and partition in self.unassigned and not self.has_read(partition, self.ends[partition])

    def has_read(self, partition: int, end: int) -> bool:
        """Return whether the group has committed the offset `end` or a later one."""
        return self.offsets.get(partition, 0) >= end


def own_members(consumer: KafkaConsumer) -> tuple[bool, list[Member]] | None:
    """Ask, by a consumer's own connection, for its group: whether it is stable, and its members.

    None while the consumer knows no coordinator. KafkaError when the broker does not answer.
    """
    group = described_group(consumer)
    if group is None:
        return None
    if group.error_code:
        raise for_code(group.error_code)
    return group.group_state == STABLE, [_member(_fields(each)) for each in group.members]


def _fields(member: Any) -> dict[str, Any]:
    """Return a member of the broker's answer, its assignment decoded as the admin client does."""
    given = member.member_assignment
    try:
        assignment = ConsumerProtocolAssignment.decode(given).to_dict() if given else None
    except (ValueError, struct.error):  # the leader of the group wrote it, which may be anybody
        assignment = None
    return {
        "member_id": member.member_id,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "member_assignment": assignment,
    }


def _member(found: Mapping[str, Any]) -> Member:
    assignment = found["member_assignment"]
    topics = assignment["assigned_partitions"] if isinstance(assignment, dict) else ()
    places = frozenset((each["topic"], partition) for each in topics for partition in each["partitions"])
    return Member(found["member_id"], found["client_id"], found["client_host"].lstrip("/"), places)


def readings_of(topic: str, services: Mapping[str, str]) -> dict[str, Reading]:
    """Ask Kafka how services read a topic: group → how; `services`: the group → the service whose group it is.

    A member is the service's own by its client id. A group that Kafka does not let us describe is left out. KafkaError
    when no broker answers, or the topic does not exist.
    """
    with reader() as consumer, admin() as client:
        ends = _ends(consumer, topic)
        found: dict[str, Reading] = {}
        for group, service in services.items():
            try:
                found[group] = _reading(client, topic, group, client_id_of(service, group), ends)
            except GroupAuthorizationFailedError as error:
                logger.warning("%s may not describe the group %s: %r", conf().service, group, error)
    return found


def _ends(consumer: KafkaConsumer, topic: str) -> dict[int, int]:
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise UnknownTopicOrPartitionError(f"the broker knows no partition of {topic} now")
    places = [TopicPartition(topic, number) for number in numbers]
    return {tp.partition: end for tp, end in log_ends(consumer, places).items()}


def _reading(client: Any, topic: str, group: str, client_id: str, ends: Mapping[int, int]) -> Reading:
    described = client.describe_groups([group])[group]
    if described["error"] and GroupIdNotFoundError.__name__ not in described["error"]:
        raise _refused(described["error"])
    members = [_member(each) for each in described["members"]]
    own = [each for each in members if each.client_id == client_id]
    foreign = tuple(each for each in members if each not in own)
    if not own:
        return Reading(alive=False, unassigned=frozenset(), foreign=foreign, offsets={}, ends=ends)
    is_stable = described["group_state"] == STABLE
    free = ends.keys() - _numbers(own, topic) if is_stable else frozenset()
    # After the members: what a member reads meanwhile counts as read.
    offsets = client.list_group_offsets({group: [TopicPartition(topic, number) for number in ends]})[group]
    passed = {tp.partition: found.offset for tp, found in offsets.items()}
    return Reading(True, frozenset(free), foreign, offsets=passed, ends=ends, is_stable=is_stable)


def _refused(error: str) -> KafkaError:
    """Return the error that the admin client has made a text of."""
    kind = GroupAuthorizationFailedError if GroupAuthorizationFailedError.__name__ in error else KafkaError
    return kind(error)


def _numbers(members: Iterable[Member], topic: str) -> set[int]:
    return {number for member in members for name, number in member.partitions if name == topic}
