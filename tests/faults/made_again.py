"""A topic is deleted and made again under its name, gets its records back, and an operator moves its reader into it.

Until then the reader has to be stopped there, and to have passed nothing: that is checked here, while it is so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

import psycopg2
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack import control
from tests.faults.faulty_stack import FaultyStack
from tests.faults.plan import ITS_READER
from tests.faults.records import Corrupted, is_readable
from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient
from tests.journeys.processes import manage
from tests.journeys.waiting import eventually

#: Everything else goes wrong meanwhile: what is needed here may be away for a while, again and again.
PATIENT_SECONDS = 180.0
AGAIN_SECONDS = 2.0
ASK_SECONDS = 15.0
#: The exit code of skip_dead_letters when there is none.
NOTHING_TO_SKIP = 5
READER, OWNER = "order", "product"

POSITIONS = """
    SELECT partition, next_offset, stopped_reason FROM messaging_consumer_position
    WHERE topic = %s AND next_offset >= 0 ORDER BY partition
"""
T = TypeVar("T")
Positions = dict[int, tuple[int, str | None]]


def make_again(client: ForeignClient, stack: FaultyStack, topic: str) -> list[Corrupted]:
    """Make the topic again; return what stood unreadable in it, which stays a dead letter. AssertionError when broken.

    The records come back in the order of their partitions: copies of what was handled, as the log's owner would do it.
    """
    with closing(Databases(stack.variables)) as databases:
        what = "the topic to be read to its end"
        before = eventually(lambda: _at_the_end(client, databases, topic), what, seconds=PATIENT_SECONDS)
        records = _patiently(lambda: client.read(topic))
        _delete_and_create(AdminClient({"bootstrap.servers": stack.variables["KAFKA_BOOTSTRAP_SERVERS"]}), topic)
        for record in filter(is_readable, records):
            _patiently(lambda: client.publish_again(record, 1))  # noqa: B023
        _assert_stopped_there(databases, topic, before)
    _let_an_operator_move_the_group(topic)
    return [Corrupted.of(each) for each in records if not is_readable(each)]


def _at_the_end(client: ForeignClient, databases: Databases, topic: str) -> Positions:
    ends = _patiently(lambda: client.ends(topic))
    now = _positions(databases, topic)
    return now if all(now.get(number, (0,))[0] >= end for (_, number), end in ends.items()) else {}


def _positions(databases: Databases, topic: str) -> Positions:
    rows = _patiently(lambda: databases.ask(READER, POSITIONS, [topic]), lambda: databases.reconnect(READER))
    return {number: (offset, reason) for number, offset, reason in rows}


def _delete_and_create(admin: AdminClient, topic: str) -> None:
    eventually(lambda: _patiently(lambda: _is_deleted(admin, topic)), "the topic to go", seconds=PATIENT_SECONDS)
    _command(OWNER, "create_topics")


def _is_deleted(admin: AdminClient, topic: str) -> bool:
    if topic not in admin.list_topics(timeout=ASK_SECONDS).topics:
        return True
    admin.delete_topics([topic], operation_timeout=ASK_SECONDS)[topic].result(timeout=ASK_SECONDS)
    return False


def _assert_stopped_there(databases: Databases, topic: str, before: Positions) -> None:
    """Check that the reader stops in each partition, where it was."""

    def stopped() -> bool:
        now = _positions(databases, topic)
        moved = {number: (offset, now[number][0]) for number, (offset, _) in before.items() if now[number][0] != offset}
        assert not moved, f"{READER} has gone on in {topic}, which was made again: {moved}"
        return all("reset_consumer_offsets" in (now[number][1] or "") for number in before)

    eventually(stopped, "the reader to stop", seconds=PATIENT_SECONDS, state=lambda: _positions(databases, topic))


def _let_an_operator_move_the_group(topic: str) -> None:
    """Do what the reason of the stop says. Keys that wait behind dead letters of the old log are let go first."""
    control.stop(ITS_READER)
    try:
        why = ("--execute", "--reason", f"{topic} was made again")
        _command(READER, "skip_dead_letters", "--topic", topic, *why, or_else=NOTHING_TO_SKIP)
        _command(READER, "reset_consumer_offsets", topic, "--from-earliest", *why)
    finally:
        control.start(ITS_READER, wait=False)


def _command(service: str, *arguments: str, or_else: int = 0) -> None:
    """Run a command of an operator until it succeeds; servers may be away, and a killed worker is still a member."""

    def done() -> bool:
        answer = manage(service, *arguments)
        said.append(answer.stdout[-500:] + answer.stderr[-500:])
        return answer.returncode in (0, or_else)

    said: list[str] = []
    eventually(done, " ".join(arguments[:2]), seconds=PATIENT_SECONDS, state=lambda: said[-1])


def _patiently(action: Callable[[], T], again: Callable[[], object] = lambda: None) -> T:
    """Do it, again and again while its server is in trouble."""
    deadline = time.monotonic() + PATIENT_SECONDS
    while True:
        try:
            return action()
        except (AssertionError, KafkaException, TimeoutError, psycopg2.Error) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"a server was in trouble for {PATIENT_SECONDS} s") from error
        time.sleep(AGAIN_SECONDS)
        again()
