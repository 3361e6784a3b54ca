"""Relays in processes of their own: sharing the shards, frozen and killed. Nothing is lost, and order holds."""

from __future__ import annotations

import pytest
from django.db import connection

from messaging.outbox.shard_locks import LOCK_SPACE
from tests.messaging.log import Log
from tests.messaging.process import process
from tests.messaging.rows import publish_notes, waiting
from tests.messaging.sample.models import Applied
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

#: Seconds until PostgreSQL takes the shards of a frozen relay away.
IDLE = {"RELAY_IDLE_SECONDS": 2}
KEYS = 12


def shares() -> list[int]:
    """Return how many shards each relay of this database owns."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
            " WHERE locktype = 'advisory' AND classid = %s AND datname = current_database() GROUP BY pid ORDER BY 1",
            [LOCK_SPACE],
        )
        return [row[0] for row in cursor.fetchall()]


def publish_round(key: str, number: int) -> None:
    publish_notes(*[(f"{key}-{part}", number) for part in range(KEYS)])


def assert_first_occurrences_in_order(log: Log, key: str, rounds: int) -> None:
    for part in range(KEYS):
        assert log.first_numbers(f"{key}-{part}") == list(range(rounds))


def test_two_relays_share_the_shards_evenly_and_the_one_left_takes_all(reader):
    with process("relay", **IDLE) as first:
        eventually(lambda: shares() == [8])
        with process("relay", **IDLE):
            eventually(lambda: shares() == [4, 4])
            first.kill()
            eventually(lambda: shares() == [8])


def test_a_frozen_owner_loses_its_shards_and_repeats_only_what_its_successor_sent(key, log):
    with process("relay", "freeze before send", **IDLE) as owner:
        publish_round(key, 0)
        eventually(owner.is_frozen)
        publish_round(key, 1)
        with process("relay", **IDLE):
            eventually(lambda: waiting() == [])
            publish_round(key, 2)
            eventually(lambda: waiting() == [])

            owner.wake()
            eventually(lambda: log.numbers(f"{key}-0").count(0) == 2)
            eventually(lambda: shares() == [4, 4])
            publish_round(key, 3)
            eventually(lambda: waiting() == [])

    assert_first_occurrences_in_order(log, key, 4)


def test_a_relay_killed_before_it_deletes_doubles_the_record_but_not_the_effect(key, log, consumer):
    with process("relay", "kill before delete") as killed:
        publish_notes((key, 1))
        killed.wait_killed()
    assert waiting() == [(key, 1)]

    with process("relay"):
        eventually(lambda: waiting() == [])

    assert log.numbers(key) == [1, 1]
    eventually(lambda: Applied.objects.filter(key=key).count() == 2)
    publish_notes((f"{key}-last", 2))
    with process("relay"):
        eventually(lambda: Applied.objects.filter(key=f"{key}-last").count() == 2)
    assert Applied.objects.filter(key=key).count() == 2
