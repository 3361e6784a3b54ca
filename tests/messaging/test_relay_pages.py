"""A round's pages: one snapshot for all, no transaction while sending, no more data than a round may have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest
from django.conf import settings as django_settings
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from messaging.database import own_connection
from messaging.outbox import pages
from messaging.outbox.relay import Relay
from messaging.outbox.sender import Sender
from messaging.outbox.shard_locks import ShardConnection
from tests.messaging.rows import envelope, publish_notes, put, waiting

pytestmark = pytest.mark.django_db(transaction=True)

#: Rows of a page in these tests; a round that has picked half as many reads no further page.
PAGE = 4


@pytest.fixture
def by_hand(reader) -> Iterator[Relay]:
    """A relay that the test drives round by round."""
    relay = Relay()
    yield relay
    relay.stop()
    relay.run()


@pytest.fixture
def small_pages(settings) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "RELAY_BATCH": PAGE}


class Statements:
    """What the relay's connection ran, and the bytes of data that it read; `after_page[n]` runs after the nth page."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.bytes = 0
        self.after_page: dict[int, Callable[[], Any]] = {}
        self.pages = 0

    def note(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        if "FROM messaging_outbox" not in sql and "ISOLATION" not in sql and sql != "COMMIT":
            return
        self.ran.append(sql.split()[0])
        self.bytes += sum(len(value) for row in rows for value in row if isinstance(value, bytes | memoryview))
        if "LIMIT" in sql:
            self.pages += 1
            self.after_page.pop(self.pages, lambda: None)()


@pytest.fixture
def statements(monkeypatch) -> Statements:
    seen = Statements()
    execute = ShardConnection.execute

    def noted(self: ShardConnection, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        rows = execute(self, sql, parameters)
        seen.note(sql, rows)
        return rows

    monkeypatch.setattr(ShardConnection, "execute", noted)
    return seen


@contextmanager
def open_transaction(key: str, number: int) -> Iterator[Any]:
    """Record a note of `key` in another session, and let the with block decide when it commits."""
    insert = """
    INSERT INTO messaging_outbox (event_id, topic, key, shard, type, occurred_at, correlation_id, extra, data)
    VALUES ('open', %s, %s, 0, 'sample.NoteAdded.v1', now(), %s, '', %s)
    """
    data = f'{{"key": "{key}", "number": {number}, "behaviour": ""}}'.encode()
    other = own_connection(application_name="test:open")
    other.autocommit = False
    try:
        with other.cursor() as cursor:
            cursor.execute(insert, [django_settings.SAMPLE_TOPIC, key, key, data])
        yield other
    finally:
        other.close()


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_row_that_commits_between_two_pages_is_not_overtaken(by_hand, small_pages, statements, key, log, page):
    late, many = f"{key}-late", f"{key}-many"
    with open_transaction(late, 1) as other:
        publish_notes(*[(many, number) for number in range(PAGE)])

        def commit_both() -> None:
            other.commit()
            publish_notes((late, 2))

        statements.after_page[page] = commit_both
        while by_hand.round():
            continue
        if page in statements.after_page:
            commit_both()
        while by_hand.round():
            continue

    assert log.first_numbers(late) == [1, 2]
    assert waiting() == []


def test_no_transaction_is_open_while_a_round_is_sent(by_hand, small_pages, key, monkeypatch):
    states: list[int] = []
    send = Sender.send

    def noted(self: Sender, *arguments: Any, **named: Any) -> list[int]:
        states.append(by_hand._shards.raw.info.transaction_status)
        return send(self, *arguments, **named)

    monkeypatch.setattr(Sender, "send", noted)
    publish_notes(*[(key, number) for number in range(3 * PAGE)])

    while by_hand.round():
        continue

    assert set(states) == {TRANSACTION_STATUS_IDLE}
    assert len(states) == 3 * PAGE


def test_a_small_backlog_costs_one_read_and_one_delete(by_hand, statements, key):
    publish_notes((f"{key}-a", 1), (f"{key}-b", 1), (f"{key}-a", 2))

    by_hand.round()

    assert statements.ran == ["SELECT", "DELETE"]


def test_a_long_backlog_of_few_keys_is_read_in_one_transaction(by_hand, small_pages, statements, key):
    publish_notes(*[(key, number) for number in range(PAGE + 1)], (f"{key}-other", 1))

    by_hand.round()

    assert statements.ran == ["SELECT", "BEGIN", "SELECT", "SELECT", "COMMIT", "DELETE"]


def test_a_relay_that_freezes_inside_the_snapshot_loses_its_connection(settings, reader):
    settings.MESSAGING = {**settings.MESSAGING, "RELAY_IDLE_SECONDS": 1}

    with closing(ShardConnection()) as shards, pytest.raises(psycopg2.Error), shards.snapshot():
        shards.execute("SELECT 1")
        time.sleep(3)
        shards.execute("SELECT 1")


def test_a_round_sends_no_more_data_than_it_may_and_reads_no_more(by_hand, statements, key, log, monkeypatch):
    monkeypatch.setattr(pages, "ROUND_BYTES", 500_000)
    put(*[envelope(django_settings.SAMPLE_TOPIC, f"{key}-{number}", number, size=200_000) for number in range(5)])

    by_hand.round()

    assert [number for _, number in waiting()] == [2, 3, 4]
    assert statements.bytes < 500_000
    while by_hand.round():
        continue
    assert [log.numbers(f"{key}-{number}") for number in range(5)] == [[number] for number in range(5)]


def test_a_row_larger_than_a_round_goes_alone(by_hand, key, log, monkeypatch):
    monkeypatch.setattr(pages, "ROUND_BYTES", 1000)
    put(*[envelope(django_settings.SAMPLE_TOPIC, f"{key}-{number}", number, size=10_000) for number in range(2)])

    by_hand.round()

    assert waiting() == [(f"{key}-1", 1)]
    assert log.numbers(f"{key}-0") == [0]


def test_many_large_rows_of_one_key_are_read_one_at_a_time(by_hand, statements, key):
    put(*[envelope(django_settings.SAMPLE_TOPIC, key, number, size=100_000) for number in range(20)])

    by_hand.round()

    assert 100_000 <= statements.bytes < 110_000
    assert len(waiting()) == 19


def test_a_large_row_that_another_relay_has_sent_meanwhile_is_left_out(by_hand, statements, key, log):
    put(*[envelope(django_settings.SAMPLE_TOPIC, f"{key}-{number}", number, size=10_000) for number in range(2)])

    def acknowledged_to_another_relay() -> None:
        with own_connection(application_name="test:other") as other, other.cursor() as cursor:
            cursor.execute("DELETE FROM messaging_outbox WHERE key = %s", [f"{key}-0"])
        other.close()

    statements.after_page[1] = acknowledged_to_another_relay
    by_hand.round()

    assert (log.numbers(f"{key}-0"), log.numbers(f"{key}-1")) == ([], [1])
