"""A network that works one way only, or to one of two places: nothing is lost, doubled, reordered or counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from messaging.consumer.loop import Consumer
from messaging.models import InboxRow
from messaging.outbox.relay import Relay
from tests.messaging.broker import Broker
from tests.messaging.patience import SOON_MISSED
from tests.messaging.process import process
from tests.messaging.proxy import Proxy, proxy
from tests.messaging.rows import publish_notes, waiting
from tests.messaging.test_consumer import applied, is_applied, notes
from tests.messaging.test_relay import relay_connections
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

BOTH = ("requests", "answers")
EACH_WAY = pytest.mark.parametrize("lost", [("requests",), ("answers",), BOTH], ids="-and-".join)


@pytest.fixture
def proxied(broker: Broker, settings: Any) -> Proxy:
    """What stands between this test's process and its broker; the log is read past it."""
    settings.MESSAGING = {**settings.MESSAGING, "BOOTSTRAP_SERVERS": [broker.proxied_address], **SOON_MISSED}
    return broker.proxy


@pytest.fixture
def to_database() -> Iterator[Proxy]:
    """What may stand between a process of its own and the database."""
    with proxy(int(connection.settings_dict["PORT"])) as running_proxy:
        yield running_proxy


def test_events_whose_acknowledgements_are_lost_are_sent_again_in_order(proxied, own_log, key):
    with running(Relay()) as relay:
        publish_notes((key, 0), (f"{key}-other", 0))
        eventually(lambda: waiting() == [])
        with proxied.losing("answers"):
            publish_notes((key, 1), (key, 2), (f"{key}-other", 1))
            eventually(lambda: own_log.numbers(key) == [0, 1])
            eventually(lambda: relay._sender._producer is None)
            assert waiting() == [(key, 1), (key, 2), (f"{key}-other", 1)]
        eventually(lambda: waiting() == [], 30)

    assert own_log.first_numbers(key) == [0, 1, 2]
    assert own_log.first_numbers(f"{key}-other") == [0, 1]
    assert own_log.numbers(key).count(1) >= 2


def test_answers_that_arrive_late_double_and_reorder_nothing(proxied, own_log, key):
    with running(Relay()):
        publish_notes((key, 0))
        eventually(lambda: waiting() == [])
        with proxied.holding("answers"):
            publish_notes(*[(key, number) for number in range(1, 6)])
            eventually(lambda: own_log.numbers(key) == [0, 1])
        eventually(lambda: waiting() == [], 30)

    assert own_log.first_numbers(key) == list(range(6))


@EACH_WAY
def test_a_consumer_cut_off_from_kafka_leaves_its_partitions_to_another_and_changes_nothing_when_it_is_back(
    lost, proxied, broker, key
):
    direct = {"BOOTSTRAP_SERVERS": [broker.address], "GROUPS": {key: [django_settings.SAMPLE_TOPIC]}}
    with running(Consumer(key, [django_settings.SAMPLE_TOPIC])), process("relay", **direct):
        publish_notes(*[(key, number) for number in range(5)])
        eventually(lambda: is_applied(key, 5), 30)
        with proxied.losing(*lost), process("consumer", group=key, **direct):
            publish_notes(*[(key, number) for number in range(5, 10)])
            eventually(lambda: is_applied(key, 10), 40)
        publish_notes(*[(key, number) for number in range(10, 15)])
        eventually(lambda: is_applied(key, 15), 40)

    assert_once_in_order_at_the_first_attempt(key, 15)


@EACH_WAY
def test_a_consumer_cut_off_from_its_database_counts_no_attempt_and_goes_on_when_it_is_back(
    lost, to_database, write, group, key
):
    with process("consumer", group=group, database_port=to_database.port):
        write.events(*notes(key, 5))
        eventually(lambda: is_applied(key, 5), 30)
        with to_database.losing(*lost):
            write.events(*notes(key, 10)[5:])
            eventually(lambda: to_database.has_lost)
        eventually(lambda: is_applied(key, 10), 40)

    assert_once_in_order_at_the_first_attempt(key, 10)


@EACH_WAY
def test_a_relay_cut_off_from_its_database_loses_and_reorders_nothing(lost, to_database, log, key):
    with process("relay", database_port=to_database.port, RELAY_IDLE_SECONDS=2):
        publish_notes((key, 0))
        eventually(lambda: waiting() == [])
        with to_database.losing(*lost):
            publish_notes(*[(key, number) for number in range(1, 6)])
            eventually(lambda: relay_connections() == 0)
        eventually(lambda: waiting() == [], 30)

    assert log.first_numbers(key) == list(range(6))


def test_a_service_cut_off_from_kafka_records_events_that_drain_in_key_order_afterwards(proxied, own_log, key):
    keys = [f"{key}-{part}" for part in range(5)]
    with running(Relay()) as relay:
        publish_notes((f"{key}-before", 0))
        eventually(lambda: waiting() == [])
        with proxied.losing(*BOTH):
            for number in range(20):
                publish_notes(*[(each, number) for each in keys])
            eventually(lambda: relay._sender._producer is None)
            assert len(waiting()) == 100
        eventually(lambda: waiting() == [], 30)

    assert [own_log.first_numbers(each) for each in keys] == [list(range(20))] * 5


def assert_once_in_order_at_the_first_attempt(key: str, count: int) -> None:
    assert applied(key) == applied(key, "batch") == list(range(count))
    assert set(InboxRow.objects.filter(key=key).values_list("state", "attempts")) == {("done", 1)}
