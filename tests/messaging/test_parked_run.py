"""Several parked keys have their turns at once: none waits behind a locked row, or a handler that hangs."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from messaging import retry
from messaging.consumer import parked_run, retry_parked
from messaging.consumer.retry_parked import due, progress, retry_due
from messaging.models import InboxRow, ParkedKey
from messaging.parking import due_times
from tests.messaging.parked import SINGLE, drain, gate, is_parked, make_due
from tests.messaging.sample import handlers
from tests.messaging.sample.models import Applied
from tests.messaging.test_batch import applied, note, singly
from tests.messaging.threads import at_once
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LOCKED_KEYS = [f"locked-{number}" for number in range(60)]


@pytest.fixture(autouse=True)
def delayed_attempts(settings):
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 3}


@pytest.fixture
def shut(monkeypatch):
    return gate(monkeypatch)


def needs_the_row(event: Any, context: Any) -> None:
    """Let the handler lock the one row that all keys but the healthy ones need."""
    if not event.key.startswith("healthy"):
        list(Applied.objects.select_for_update().filter(handler="the row"))


@contextmanager
def row_locked() -> Iterator[None]:
    """Lock the row by another session, as a long transaction does."""
    locked, release = threading.Event(), threading.Event()
    Applied.objects.create(key="row", number=0, handler="the row")

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            list(Applied.objects.select_for_update().filter(handler="the row"))
            locked.set()
            release.wait(60)

    thread = threading.Thread(target=lambda: (hold(), connections.close_all()))
    thread.start()
    assert locked.wait(20)
    try:
        yield
    finally:
        release.set()
        thread.join(20)


@contextmanager
def retrying() -> Iterator[None]:
    """Run the timer again and again in a thread of its own, as beat does."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.1):
            retry_due()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def test_a_healthy_key_does_not_wait_behind_keys_whose_row_is_locked(group, shut, monkeypatch):
    """One by one, sixty keys that wait three seconds each would keep it waiting for three minutes."""
    singly(group, *[note(key, 1, "gated") for key in LOCKED_KEYS])
    make_due()
    singly(group, note("healthy", 1, "gated"))
    monkeypatch.setitem(handlers.behaviours, "gated", needs_the_row)

    with row_locked(), retrying():
        begin = time.monotonic()
        eventually(lambda: applied("single", "healthy") == [1], 60)
        waited = time.monotonic() - begin
        attempts = InboxRow.objects.filter(handler=SINGLE, state="waiting").values_list("attempts", flat=True)
        # A turn that was cut off counts no attempt; patient ones do
        assert min(attempts) == 3
    assert waited < 10, waited


def test_keys_whose_row_was_locked_go_on_when_it_is_free(group, shut, monkeypatch):
    singly(group, *[note(key, 1, "gated") for key in LOCKED_KEYS[:8]])
    make_due()
    monkeypatch.setitem(handlers.behaviours, "gated", needs_the_row)
    with retrying():
        with row_locked():
            eventually(lambda: len(retry_parked._cut_off) >= 2, 30)
        eventually(lambda: all(applied("single", key) == [1] for key in LOCKED_KEYS[:8]), 60)

    assert not ParkedKey.objects.exists()
    assert not retry_parked._cut_off


def test_a_hanging_handler_holds_up_no_other_key(group, shut, monkeypatch):
    singly(group, *[note(key, 1, "gated") for key in ("hangs", "healthy")])
    release = threading.Event()
    monkeypatch.setitem(handlers.behaviours, "gated", lambda event, context: event.key == "healthy" or release.wait(30))
    make_due()
    try:
        with retrying():
            eventually(lambda: applied("single", "healthy") == [1], 15)
            assert applied("single", "hangs") == []
            seen = progress()
            time.sleep(0.5)
            # The watch sees the thread that hangs, whatever the others do
            assert seen is not None and progress() is seen
            release.set()
    finally:
        release.set()
    assert progress() is None


def test_at_most_so_many_keys_are_at_work_at_once(group, shut, monkeypatch):
    singly(group, *[note(f"k{number}", 1, "gated") for number in range(20)])
    make_due()
    at_work, most, lock = [0], [0], threading.Lock()

    def work(event: Any, context: Any) -> None:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        time.sleep(0.02)
        with lock:
            at_work[0] -= 1

    monkeypatch.setitem(handlers.behaviours, "gated", work)
    assert retry_due() == 40

    assert 1 < most[0] <= parked_run.THREADS
    assert not ParkedKey.objects.exists()


def test_a_key_that_another_process_left_marked_has_its_turn_alone(group, shut, monkeypatch):
    """Were it to end this process too, no other key's event would be suspected of that."""
    singly(group, *[note(f"k{number}", 1, "gated") for number in range(5)])
    ParkedKey.objects.filter(key="k3").update(marked_by="died", marked_event=f"e {SINGLE}")
    make_due()
    marked: list[set[str]] = []

    def look(event: Any, context: Any) -> None:
        time.sleep(0.05)
        connection_of_its_own = at_once(lambda: set(ParkedKey.objects.exclude(marked_by=None).values_list("key")))
        marked.append({key for (key,) in connection_of_its_own[0]} if event.key == "k3" else set())

    monkeypatch.setitem(handlers.behaviours, "gated", look)
    retry_due()

    assert marked[0] == {"k3"}
    assert len(marked) == 5


def test_a_key_that_is_not_due_costs_no_look_at_its_queue(group):
    """Two thousand parked keys wait: the look each second reads neither them nor their queues."""
    topic = django_settings.SAMPLE_TOPIC
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO messaging_inbox (event_id, handler, topic, partition, "offset", key, state, attempts,'
            " received_at, raw, next_attempt_at) SELECT 'e' || n, %s, %s, 0, n, 'k' || n, 'waiting', 0, now(), 'x',"
            " now() + interval '1 hour' FROM generate_series(1, 2000) AS n",
            [SINGLE, topic],
        )
        cursor.execute(
            "INSERT INTO messaging_parked_key (topic, key, consumer_group, partition, parked_at)"
            " SELECT %s, 'k' || n, %s, 0, now() FROM generate_series(1, 2000) AS n",
            [topic, group],
        )
        assert due() == []  # looks at each once
        cursor.execute("ANALYZE messaging_inbox, messaging_parked_key")
        with CaptureQueriesContext(connection) as looked:
            assert due() == []
        [sql] = [query["sql"] for query in looked if "messaging_inbox" in query["sql"]]
        cursor.execute(f"EXPLAIN (ANALYZE) {sql}")
        plan = [line for (line,) in cursor.fetchall()]

    queues = next(line for line in plan if "on messaging_inbox" in line)
    keys = next(line for line in plan if "on messaging_parked_key each" in line)
    assert "never executed" in queues, "\n".join(plan)
    assert float(re.search(r"actual .*rows=([0-9.]+)", keys)[1]) == 0, "\n".join(plan)


def test_a_key_parked_by_old_code_is_due_at_once_and_looked_at_each_minute(group, shut):
    """Old code does not know the key's time: neither what it parks nor what it makes due may be stranded."""
    singly(group, note("a", 1, "gated"))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_parked_key (topic, key, consumer_group, partition, parked_at)"
            " VALUES (%s, 'old', %s, 0, now())",
            [django_settings.SAMPLE_TOPIC, group],
        )
    InboxRow.objects.filter(state="waiting").update(state="dead", next_attempt_at=None)

    assert due() == [(django_settings.SAMPLE_TOPIC, "old")]

    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM look_at - now()) FROM messaging_parked_key WHERE key = 'a'")
        [wait] = cursor.fetchone()
    assert 0 < wait <= due_times.LOOK_SECONDS


#: The head of a key, as the release before migration 0008 read it.
HEAD_AS_BEFORE = """
SELECT event_id, handler, topic, row.partition, "offset", key, state, attempts, received_at,
       coalesce(next_attempt_at <= now(), true), raw
  FROM messaging_parked_key AS parked JOIN messaging_inbox AS row USING (topic, key)
 WHERE topic = %s AND key = %s AND raw IS NOT NULL
"""


def test_the_query_of_the_release_before_still_runs(group, shut):
    """It reads columns of the inbox without the table's name: no new column of a parked key may have such a name."""
    singly(group, note("a", 1, "gated"))
    with connection.cursor() as cursor:
        cursor.execute(HEAD_AS_BEFORE, [django_settings.SAMPLE_TOPIC, "a"])

        assert len(cursor.fetchall()) == 2


def test_an_operators_retry_makes_its_key_due_at_once(group, shut):
    singly(group, note("a", 1, "gated", event_id="e"))
    InboxRow.objects.filter(state="waiting").update(state="dead", next_attempt_at=None)
    assert due() == []
    shut.open = True

    retry([("e", SINGLE)], actor="kim", reason="a test")
    retry_due()

    assert applied("single", "a") == [1]


def test_a_queue_runs_through_in_one_turn_with_one_transaction_an_event(group, shut):
    singly(group, note("a", 0, "gated"), *[note("a", number) for number in range(1, 21)])
    shut.open = True
    make_due()

    with CaptureQueriesContext(connection) as asked:
        assert retry_due() == 42

    commits = [query["sql"] for query in asked if query["sql"] == "COMMIT"]
    assert len(commits) <= 42 + 2, len(commits)  # the first mark, and the unparking
    assert applied("single", "a") == applied("batch", "a") == list(range(21))
    assert not is_parked("a")


def test_what_fails_like_an_outage_ends_the_run_only_when_the_database_takes_no_writes(group, shut, monkeypatch):
    from django.db import OperationalError

    singly(group, *[note(key, 1, "gated") for key in ("bad", "healthy")])
    make_due()

    def act(event: Any, context: Any) -> None:
        if event.key == "bad":
            raise OperationalError("could not connect to another server")

    monkeypatch.setitem(handlers.behaviours, "gated", act)
    assert retry_due() == 2

    assert applied("single", "healthy") == [1]
    assert drain() == 0
