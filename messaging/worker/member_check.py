"""Compares the members of a consumer group, as Kafka has them, with the workers that use this database.

A member that is not ours reads its share of the partitions in our place: everything looks healthy, and the events there
wait. See decision 24.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from kafka.errors import KafkaError

from messaging.conf import conf
from messaging.inbox import group_members
from messaging.inbox.positions import Place
from messaging.kafka.clients import client_id_of
from messaging.kafka.members import Member, own_members
from messaging.kafka.patches.private_calls import own_member_id

logger = logging.getLogger(__name__)

#: How often a worker looks, in seconds: one request to the broker and five statements, in no consumer's way.
LOOK_SECONDS = 10.0
#: For how long a member of another client id has to be there until it is named, in seconds: for two looks.
SURE_SECONDS = 1.0
#: The same for one of our client id that is not in the database: a worker of an earlier release records no member.
LOOKS_LIKE_OURS_SECONDS = 600.0


class MemberCheck:
    """The check of one consumer's group. One thread runs it, which is not the consumer's."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._looked = -LOOK_SECONDS
        self._since: dict[str, float] = {}
        self._named: dict[str, Member] = {}
        self._unheld: set[Place] = set()

    def look(self, cursor: Any) -> None:
        """Compare, if it is time; psycopg2.Error when the database does not answer."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        client = getattr(self._consumer, "client", None)
        if client is not None:
            self._compare(client, cursor)

    def _compare(self, client: Any, cursor: Any) -> None:
        group = self._consumer.group
        ours = group_members.record_own(cursor, group, own_member_id(client), self._consumer.worker)
        try:
            found = own_members(client)
            places = {(topic, each) for topic in self._consumer.topics for each in _partitions(client, topic)}
        except (KafkaError, RuntimeError) as error:  # RuntimeError: the client has been closed
            logger.info("%s: the members of the group are compared later: %r", group, error)
            return
        if found is not None:
            is_stable, members = found
            foreign = self._foreign(members, ours)
            group_members.record_foreign(cursor, group, foreign, members)
            self._name(foreign)
            if is_stable:
                unread = self._unread(places, members, foreign)
                group_members.mark_unread(cursor, group, unread, self._unheld)

    def _foreign(self, members: Iterable[Member], ours: set[str]) -> list[Member]:
        """Return the members that are not ours, once they have been there for long enough to be sure."""
        others = {each.member_id: each for each in members if each.member_id not in ours}
        now = time.monotonic()
        self._since = {name: self._since.get(name, now) for name in others}
        return [each for name, each in others.items() if now - self._since[name] >= self._patience(each)]

    def _patience(self, member: Member) -> float:
        is_alike = member.client_id == client_id_of(conf().service, self._consumer.group)
        return LOOKS_LIKE_OURS_SECONDS if is_alike else SURE_SECONDS

    def _name(self, foreign: Iterable[Member]) -> None:
        """Log each foreign member when it is found and when it has left."""
        now = {each.member_id: each for each in foreign}
        for name in now.keys() - self._named.keys():
            logger.error(
                "a foreign member is in the consumer group %s (%s): our workers get none of its partitions. Stop it",
                self._consumer.group,
                now[name],
            )
        for name in self._named.keys() - now.keys():
            logger.warning("the foreign member has left %s: %s", self._consumer.group, self._named[name])
        self._named = now

    def _unread(self, places: set[Place], members: Iterable[Member], foreign: list[Member]) -> dict[Place, str]:
        """Return the partitions that no worker of ours has, in two looks in a row, and why."""
        held = {place for each in members if each not in foreign for place in each.partitions}
        before, self._unheld = self._unheld, places - held
        return {place: f"{group_members.UNREAD}: {_holder(place, foreign)}" for place in self._unheld & before}


def _partitions(client: Any, topic: str) -> set[int]:
    return set(client.partitions_for_topic(topic) or ())


def _holder(place: Place, foreign: Iterable[Member]) -> str:
    holder = next((each for each in foreign if place in each.partitions), None)
    if holder is None:
        return "the consumer group has given it to no member; start its workers again"
    return f"a foreign member of the consumer group has it ({holder}); stop that client"
