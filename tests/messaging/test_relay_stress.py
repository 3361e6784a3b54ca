"""Relays killed and frozen in turn under load, and a large backlog: order holds, and memory stays."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction

from messaging.outbox.shard_locks import LOCK_SPACE
from tests.messaging.log import Log, number_of
from tests.messaging.process import Process, process
from tests.messaging.rows import publish_notes, waiting
from tests.messaging.test_relay import relay_connections
from tests.messaging.test_relay_processes import IDLE, shares
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = 12
TURNS = 3
BACKLOG, BACKLOG_KEYS = 100_000, 2_000
#: To count the rows that are left takes time from the relay.
LOOK_SECONDS = 0.3
#: How much a relay may grow while it drains the backlog: less than a tenth of what the rows alone would take.
GROWTH_MEGABYTES = 20.0


class Load:
    """Publishes one note of each key at a time."""

    def __init__(self, key: str) -> None:
        self.keys = [f"{key}-{part}" for part in range(KEYS)]
        self.number = 0

    def publish(self, rounds: int) -> None:
        for _ in range(rounds):
            publish_notes(*[(key, self.number) for key in self.keys])
            self.number += 1

    def assert_in_order(self, log: Log) -> None:
        """Check that the first occurrences of each key stand in order, and none is missing."""
        numbers: dict[bytes, list[int]] = defaultdict(list)
        for record in log.records():
            numbers[record.key].append(number_of(record))
        for key in self.keys:
            assert list(dict.fromkeys(numbers[key.encode()])) == list(range(self.number))


def test_relays_killed_and_frozen_in_turn_under_load_lose_and_reorder_nothing(key, log):
    load = Load(key)
    with ExitStack() as relays:
        frozen, doomed = (relays.enter_context(process("relay", **IDLE)) for _ in range(2))
        eventually(lambda: shares() == [4, 4])
        for _ in range(TURNS):
            load.publish(10)
            frozen.freeze()
            load.publish(10)
            doomed.kill()
            doomed = relays.enter_context(process("relay", **IDLE))
            load.publish(10)
            eventually(lambda: shares() == [8])
            eventually(lambda: waiting() == [], 30)
            frozen.wake()
            load.publish(10)
            eventually(lambda: shares() == [4, 4])
        eventually(lambda: waiting() == [], 30)

    load.assert_in_order(log)


@contextmanager
def all_shards_taken() -> Iterator[None]:
    """Own every shard as soon as its owner has lost it, and send nothing."""
    with connection.cursor() as cursor:
        for shard in range(django_settings.MESSAGING["SHARDS"]):
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_SPACE, shard])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock_all()")


def test_a_relay_frozen_before_it_deletes_deletes_nothing_when_it_wakes(key, log):
    with process("relay", "freeze before delete", **IDLE) as owner:
        publish_notes((key, 1), (f"{key}-other", 1))
        eventually(owner.is_frozen)
        with all_shards_taken():
            assert relay_connections() == 0
            owner.wake()
            eventually(lambda: relay_connections() == 1)
            assert waiting() == [(key, 1), (f"{key}-other", 1)]
        eventually(lambda: waiting() == [])

    assert log.numbers(key) == [1, 1]


def test_a_backlog_of_100000_rows_drains_in_key_order_with_flat_memory(key, log):
    put_backlog(key)
    with process("relay") as relay:
        eventually(lambda: time.sleep(LOOK_SECONDS) or rows_left() < 0.9 * BACKLOG, 60)
        first = relay.resident_megabytes()
        most = max(first, highest_until_drained(relay))

    print(f"\nthe relay's memory over the drain: {first:.1f} MB at first, {most:.1f} MB at most")  # noqa: T201
    assert most - first < GROWTH_MEGABYTES
    assert_backlog_in_order(log)


def put_backlog(key: str) -> None:
    """Insert the rows in one statement: the keys take turns, and each has its numbers in order."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")  # a busy machine may take long for so many rows
        cursor.execute(
            "INSERT INTO messaging_outbox (event_id, topic, key, shard, type, occurred_at, correlation_id, extra, data)"
            " SELECT gen_random_uuid(), %(topic)s, name, abs(hashtext(name)) %% 8, 'sample.NoteAdded.v1', now(), name,"
            " '', convert_to(json_build_object('key', name, 'number', number, 'behaviour', repeat('x', 200))::text,"
            " 'UTF8') FROM (SELECT n, %(key)s || n %% %(keys)s AS name, n / %(keys)s AS number"
            " FROM generate_series(0, %(rows)s - 1) AS n) AS numbered ORDER BY n",
            {"topic": django_settings.SAMPLE_TOPIC, "key": f"{key}-", "keys": BACKLOG_KEYS, "rows": BACKLOG},
        )


def rows_left() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM messaging_outbox")
        return int(cursor.fetchone()[0])


def highest_until_drained(relay: Process) -> float:
    """Watch the relay's memory until the outbox is empty, and return the most that it held."""
    seen: list[float] = []

    def drained() -> bool:
        time.sleep(LOOK_SECONDS)
        seen.append(relay.resident_megabytes())
        return rows_left() == 0

    eventually(drained, 300)
    return max(seen)


def assert_backlog_in_order(log: Log) -> None:
    numbers: dict[bytes, list[int]] = defaultdict(list)
    for record in log.records():
        numbers[record.key].append(number_of(record))
    assert len(numbers) == BACKLOG_KEYS
    assert all(found == list(range(BACKLOG // BACKLOG_KEYS)) for found in numbers.values())
