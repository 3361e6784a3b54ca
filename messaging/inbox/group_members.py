"""Which members of our consumer groups are ours: each worker records its own, and a check compares Kafka's with them.

A member that is not ours takes its share of the partitions, and whatever it does with them, our workers read none of
their events. See decision 24. The statements run on a cursor that is given: the check has a connection of its own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from django.db import connection

from messaging.database import storable
from messaging.inbox.positions import NO_POSITION, Place
from messaging.kafka.members import Member, Reading, readings_of

#: The start of the stop reason of a partition that none of our workers is given.
UNREAD = "no worker of this service reads it"
#: For how many seconds a foreign member counts after the check has seen it last.
FRESH_SECONDS = 60
#: For how many days the members of ended workers are kept.
KEPT_DAYS = 1

_RECORD_OWN = """
INSERT INTO messaging_group_member AS member (consumer_group, member_id, worker, client_id, host, partitions, seen_at)
VALUES (%s, %s, %s, '', '', '[]', now())
    ON CONFLICT (consumer_group, member_id) DO UPDATE SET worker = excluded.worker, seen_at = excluded.seen_at
"""
_OWN = "SELECT member_id FROM messaging_group_member WHERE consumer_group = %s AND worker <> ''"
_FORGET = "DELETE FROM messaging_group_member WHERE seen_at < now() - make_interval(days => %s)"
_RECORD_FOREIGN = """
INSERT INTO messaging_group_member AS member (consumer_group, member_id, worker, client_id, host, partitions, seen_at)
SELECT %s, t.member_id, '', t.client_id, t.host, t.partitions, now()
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[]) AS t(member_id, client_id, host, partitions)
 ORDER BY t.member_id
    ON CONFLICT (consumer_group, member_id) DO UPDATE SET partitions = excluded.partitions, seen_at = excluded.seen_at
"""
_FORGET_FOREIGN = """
DELETE FROM messaging_group_member WHERE consumer_group = %s AND worker = '' AND member_id <> ALL(%s)
"""
_FOREIGN = """
SELECT consumer_group, client_id, host, member_id FROM messaging_group_member
 WHERE worker = '' AND consumer_group = ANY(%s) AND partitions @> %s::jsonb
   AND seen_at > now() - make_interval(secs => %s)
 ORDER BY consumer_group, client_id, member_id
"""
_MARK = f"""
INSERT INTO messaging_consumer_position AS position
       (consumer_group, topic, partition, next_offset, stopped_reason, stopped_at)
SELECT %s, t.topic, t.partition, {NO_POSITION}, t.reason, now()
  FROM unnest(%s::text[], %s::int[], %s::text[]) AS t(topic, partition, reason) ORDER BY t.topic, t.partition
    ON CONFLICT (consumer_group, topic, partition) DO UPDATE
   SET stopped_reason = excluded.stopped_reason, stopped_at = coalesce(position.stopped_at, excluded.stopped_at)
 WHERE position.stopped_reason IS NULL OR position.stopped_reason LIKE '{UNREAD}%%'
"""
_UNMARK = f"""
UPDATE messaging_consumer_position AS position SET stopped_reason = NULL, stopped_at = NULL
 WHERE consumer_group = %s AND stopped_reason LIKE '{UNREAD}%%'
   AND NOT EXISTS (SELECT FROM unnest(%s::text[], %s::int[]) AS t(topic, partition)
                    WHERE t.topic = position.topic AND t.partition = position.partition)
"""


class Foreign(NamedTuple):
    """A foreign member of a consumer group. Its address and member id are for operators, not for an open URL."""

    group: str
    client_id: str
    host: str
    member_id: str


def record_own(cursor: Any, group: str, member_id: str, worker: str) -> set[str]:
    """Record a worker's member id, and return those of all workers that use this database."""
    if member_id:
        cursor.execute(_RECORD_OWN, [group, member_id, worker])
    cursor.execute(_FORGET, [KEPT_DAYS])
    cursor.execute(_OWN, [group])
    return {found for (found,) in cursor.fetchall()}


def record_foreign(cursor: Any, group: str, members: Iterable[Member], present: Iterable[Member]) -> None:
    """Record the foreign members of a group, and forget those that have left it.

    `present`: all members of now. A worker that has just started is sure of no stranger, and takes back none that
    another worker knows.
    """
    found = list(members)
    ids = [storable(each.member_id) for each in found]
    cursor.execute(_FORGET_FOREIGN, [group, [storable(each.member_id) for each in present]])
    if found:
        texts = [[storable(each.client_id) for each in found], [storable(each.host) for each in found]]
        cursor.execute(_RECORD_FOREIGN, [group, ids, *texts, [json.dumps(_names(each.partitions)) for each in found]])


def _names(places: Iterable[Place]) -> list[str]:
    return [f"{topic}/{partition}" for topic, partition in sorted(places)]


def foreign_members(groups: Collection[str], place: str = "") -> list[Foreign]:
    """Return the foreign members of consumer groups, as last seen; `place`: only those that have this partition."""
    with connection.cursor() as cursor:
        cursor.execute(_FOREIGN, [list(groups), json.dumps([place] if place else []), FRESH_SECONDS])
        return [Foreign(*row) for row in cursor.fetchall()]


def mark_unread(cursor: Any, group: str, reasons: Mapping[Place, str], unread: Iterable[Place]) -> None:
    """Store why partitions of a group are not read, for the operators; clear it where they are read again.

    `unread`: those that nobody reads now, also if it is not sure yet. A partition that is stopped for another reason
    keeps that.
    """
    cursor.execute(_UNMARK, [group, *_columns(unread)])
    if reasons:
        places = sorted(reasons)
        cursor.execute(_MARK, [group, *_columns(places), [storable(reasons[place]) for place in places]])


def _columns(places: Iterable[Place]) -> tuple[list[str], list[int]]:
    ordered = sorted(places)
    return [topic for topic, _ in ordered], [partition for _, partition in ordered]


def ask_readings(topic: str, services: Mapping[str, str]) -> dict[str, Reading]:
    """Ask Kafka how other services read one of our topics, and record the foreign members of their groups.

    `services`: the consumer group → the service whose group it is. A group that Kafka does not let this service
    describe is left out. KafkaError when no broker answers.
    """
    found = readings_of(topic, services)
    with connection.cursor() as cursor:
        for group, reading in found.items():
            record_foreign(cursor, group, reading.foreign, reading.foreign)
    return found
