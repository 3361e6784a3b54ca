"""A foreign member of our consumer group is found and named, with the partitions that it keeps from us."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.conf import settings as django_settings
from django.db import connection

from messaging import Reading, ask_readings, foreign_members, positions_of
from messaging.consumer.loop import Consumer
from messaging.inbox import group_members, positions
from messaging.kafka import members
from messaging.kafka.clients import client_id_of
from messaging.kafka.members import Member
from messaging.models import ConsumerPosition, GroupMember
from messaging.worker import live_workers, member_check
from messaging.worker.live_workers import workers
from messaging.worker.member_check import MemberCheck
from tests.journeys.foreign_member import CLIENT_ID, ForeignMember, foreign_member
from tests.messaging.test_consumer import is_applied, notes
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

TOPIC = django_settings.SAMPLE_TOPIC


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_check, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(member_check, "SURE_SECONDS", 0.0)


@pytest.fixture
def stranger(consumer: Consumer, group: str) -> Iterator[ForeignMember]:
    """A foreign consumer in the group of a running one of ours; it has been given partitions, and commits nothing."""
    eventually(lambda: hasattr(consumer, "client") and consumer.client.assignment())
    with foreign_member(django_settings.MESSAGING["BOOTSTRAP_SERVERS"], group, TOPIC) as member:
        yield member


def look(check: MemberCheck) -> bool:
    """Look twice, as it takes to be sure of an unread partition; return whether the group was found at all."""
    with connection.cursor() as cursor:
        check.look(cursor)
        check.look(cursor)
    return GroupMember.objects.filter(worker=check._consumer.worker).exists()


def places(stranger: ForeignMember) -> set[tuple[str, int]]:
    return {(TOPIC, partition) for partition in stranger.partitions}


def unread(group: str) -> dict[tuple[str, int], str]:
    rows = ConsumerPosition.objects.filter(consumer_group=group, stopped_reason__startswith=group_members.UNREAD)
    return {(row.topic, row.partition): row.stopped_reason for row in rows}


def test_a_group_of_our_own_members_has_nothing_to_name(consumer: Consumer, group: str) -> None:
    check = MemberCheck(consumer)
    eventually(lambda: look(check))
    eventually(lambda: _is_whole(consumer))
    assert look(check)
    assert (foreign_members([group]), unread(group), workers()["foreign_members"]) == ([], {}, [])


def _is_whole(consumer: Consumer) -> bool:
    found = members.own_members(consumer.client)
    return found is not None and found[0] and bool(found[1][0].partitions)


def test_a_stranger_is_named_with_its_partitions_until_it_leaves(
    consumer: Consumer, group: str, stranger: ForeignMember, caplog: pytest.LogCaptureFixture, write: Any, key: str
) -> None:
    check = MemberCheck(consumer)

    eventually(lambda: look(check) and set(unread(group)) == places(stranger))

    assert [each.client_id for each in foreign_members([group])] == [CLIENT_ID]
    (topic, partition), *_ = sorted(places(stranger))
    assert [each.group for each in foreign_members([group], f"{topic}/{partition}")] == [group]
    assert foreign_members([group], f"{topic}/99") == []
    assert workers()["foreign_members"] == [f"{group}: {CLIENT_ID}"]
    assert workers()["stopped_partitions"] == len(stranger.partitions)
    named = [record.getMessage() for record in caplog.records if "a foreign member is in" in record.getMessage()]
    assert len(named) == 1 and f"client id {CLIENT_ID}, host " in named[0]
    assert all(f"client id {CLIENT_ID}" in reason for reason in unread(group).values())

    stranger.leave()
    write.events(*notes(key, 1), partition=partition)
    eventually(lambda: is_applied(key, 1))
    eventually(lambda: look(check) and not unread(group))
    assert (foreign_members([group]), workers()["foreign_members"]) == ([], [])
    assert all(position.stopped_reason is None for position in positions_of(group, TOPIC))


def test_a_member_of_our_client_id_is_ours_for_a_while_and_a_recorded_one_for_good(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike, recorded = _member("a", client_id_of("sample", consumer.group)), _member("b", CLIENT_ID)
    check = MemberCheck(consumer)
    assert check._foreign([alike, recorded], {"b"}) == []
    monkeypatch.setattr(member_check, "LOOKS_LIKE_OURS_SECONDS", 0.0)
    assert check._foreign([alike, recorded], {"b"}) == [alike]


def _member(member_id: str, client_id: str, *places: tuple[str, int]) -> Member:
    return Member(member_id, client_id, "10.0.0.1", frozenset(places))


def test_a_partition_without_a_member_is_named_and_a_stopped_one_keeps_its_reason(group: str) -> None:
    positions.stop(group, (TOPIC, 0), "unreadable")
    with connection.cursor() as cursor:
        group_members.mark_unread(cursor, group, {(TOPIC, 0): "x", (TOPIC, 1): f"{group_members.UNREAD}: y"}, [])
        assert unread(group) == {(TOPIC, 1): f"{group_members.UNREAD}: y"}
        group_members.mark_unread(cursor, group, {}, [])
    assert [each.stopped_reason for each in positions_of(group, TOPIC)][:2] == ["unreadable", None]


def test_foreign_members_are_forgotten_when_nobody_has_seen_them_for_a_minute(group: str) -> None:
    with connection.cursor() as cursor:
        stranger = _member("m", "x\x00y", (TOPIC, 1))
        group_members.record_foreign(cursor, group, [stranger], [stranger])
        assert len(foreign_members([group])) == 1
        cursor.execute("UPDATE messaging_group_member SET seen_at = now() - interval '61 seconds'")
        assert foreign_members([group]) == []
        group_members.record_own(cursor, group, "", "w")
        assert GroupMember.objects.count() == 1
        cursor.execute("UPDATE messaging_group_member SET seen_at = now() - interval '25 hours'")
        assert group_members.record_own(cursor, group, "own", "w") == {"own"}
    assert [row.member_id for row in GroupMember.objects.all()] == ["own"]


def test_another_service_sees_which_partitions_of_a_group_are_not_read(
    consumer: Consumer, group: str, stranger: ForeignMember, write: Any, key: str
) -> None:
    partition = min(stranger.partitions)
    write.events(*notes(key, 1), partition=partition)

    reading = ask_readings(TOPIC, {group: "sample"})[group]

    assert reading.alive
    assert reading.is_starved(partition) and not reading.has_read(partition, reading.ends[partition])
    assert [each.client_id for each in foreign_members([group])] == [CLIENT_ID]
    stranger.leave()
    eventually(lambda: is_applied(key, 1))
    eventually(lambda: ask_readings(TOPIC, {group: "sample"})[group].has_read(partition, reading.ends[partition]))


def test_a_group_without_a_worker_of_its_service_is_not_alive(group: str) -> None:
    reading = ask_readings(TOPIC, {group: "sample", "no-such-group": "x"})
    assert not any(each.alive or each.is_starved(0) for each in reading.values())
    assert len(reading) == 2


def test_a_key_has_the_partition_that_kafka_gives_it() -> None:
    reading = Reading(alive=True, unassigned=frozenset(), foreign=(), offsets={}, ends=dict.fromkeys(range(12), 1))
    assert reading.partition_of("01999999-0000-7000-8000-000000000000") in range(12)
    assert not reading.is_starved(3)
    assert reading.has_read(3, 0)


def test_a_worker_that_is_not_sure_yet_takes_back_nothing_that_another_one_found(group: str) -> None:
    stranger = _member("m", "x", (TOPIC, 1))
    with connection.cursor() as cursor:
        group_members.record_foreign(cursor, group, [stranger], [stranger])
        group_members.mark_unread(cursor, group, {(TOPIC, 1): f"{group_members.UNREAD}: y"}, [(TOPIC, 1)])

        group_members.record_foreign(cursor, group, [], [stranger])
        group_members.mark_unread(cursor, group, {}, [(TOPIC, 1)])
        assert [each.member_id for each in foreign_members([group])] == ["m"]
        assert unread(group)

        group_members.record_foreign(cursor, group, [], [])
        group_members.mark_unread(cursor, group, {}, [])
    assert foreign_members([group]) == []
    assert not unread(group)


def test_a_member_whose_assignment_can_not_be_read_has_no_partitions() -> None:
    found = SimpleNamespace(member_id="m", client_id="a\nb", client_host="/10.0.0.1", member_assignment=b"\x00\x01\xff")
    member = members._member(members._fields(found))
    assert member.partitions == frozenset()
    assert str(member) == "client id a b, host 10.0.0.1, member m"


def test_the_presence_of_a_consumer_outlives_a_look_that_fails(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    presence = live_workers.Presence(SimpleNamespace(group=group, progress=1, topics=()))
    monkeypatch.setattr(presence._members, "look", Mock(side_effect=UnicodeDecodeError("utf-8", b"", 0, 1, "x")))
    presence._renew()
    assert presence._connection is None
    monkeypatch.setattr(presence._members, "look", Mock())
    presence._renew()
    assert workers()["consumers"][group] == 1
    presence._close()
