"""Inbox rows leave by age: only what has ended, a few at a time, and safely by several at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from messaging.models import ConsumerPosition, DeadLetterRow, InboxRow
from messaging.retention import cleanup
from messaging.retention.cleanup import INBOX, clean_inbox, delete_expired
from messaging.states import InboxState
from messaging.tasks import BEAT_SCHEDULE, clean_up
from messaging.testing import deliver, record_of
from tests.messaging.sample.events import NoteAdded
from tests.messaging.sample.models import Applied
from tests.messaging.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

DAYS = 45
MONTH = timedelta(days=30)

_FILL = """
INSERT INTO messaging_inbox (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
SELECT %(name)s || n, 'sample.on_note_added', 'sample', 0, n, n::text, %(state)s, 1, now() - %(age)s
  FROM generate_series(1, %(count)s) AS n
"""


@pytest.fixture(autouse=True)
def remembers_for_45_days(settings) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "INBOX_RETENTION_DAYS": DAYS}


def fill(count: int, days: float, state: str = "done", name: str = "event") -> None:
    """Insert rows that were received `days` ago."""
    values = {"name": f"{name}-{state}-{days}-", "state": state, "age": timedelta(days=days), "count": count}
    with connection.cursor() as cursor:
        cursor.execute(_FILL, values)


def left() -> int:
    return InboxRow.objects.count()


@pytest.fixture
def statements() -> Iterator[list[tuple[str, bool]]]:
    """Every statement of this connection, with whether it ran inside a transaction."""
    seen: list[tuple[str, bool]] = []

    def note(execute, sql, params, many, context):
        seen.append((sql, connection.in_atomic_block))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


def test_rows_leave_when_they_are_older_than_their_retention():
    fill(30, DAYS + 1)
    fill(20, DAYS - 1)

    assert clean_up() == 30
    assert left() == 20
    assert clean_up() == 0


@pytest.mark.parametrize("state", InboxState.values)
def test_only_what_has_ended_leaves_and_what_waits_or_is_dead_stays(state):
    fill(5, DAYS * 20, state)

    clean_up()

    assert left() == (5 if state in ("waiting", "dead") else 0)


def test_an_event_in_its_keys_queue_stays_however_old_it_is_and_hides_none_behind_it():
    fill(50, DAYS + 9, "waiting")
    fill(50, DAYS + 8, "dead")
    fill(50, DAYS + 7)

    assert delete_expired(INBOX, timedelta(days=DAYS), batch=10, most=1000) == 50
    assert set(InboxRow.objects.values_list("state", flat=True)) == {"waiting", "dead"}
    assert left() == 100


def test_each_batch_is_a_short_transaction_of_its_own(statements):
    fill(95, DAYS + 1)

    assert delete_expired(INBOX, timedelta(days=DAYS), batch=10) == 95

    deletes = [inside for sql, inside in statements if sql.startswith("DELETE")]
    assert deletes == [True] * 10
    assert not [sql for sql, inside in statements if inside and not sql.startswith("DELETE")]


def test_a_run_ends_at_its_bound_and_the_next_one_goes_on():
    fill(100, DAYS + 1)

    assert delete_expired(INBOX, timedelta(days=DAYS), batch=10, most=40) == 40
    assert left() == 60
    assert delete_expired(INBOX, timedelta(days=DAYS), batch=10, most=1000) == 60


def test_a_run_of_the_task_takes_no_more_than_its_bound(monkeypatch):
    assert (cleanup.BATCH, cleanup.MOST) == (1000, 200_000)
    fill(cleanup.BATCH + 1, DAYS + 1)
    monkeypatch.setattr(cleanup.delete_expired, "__kwdefaults__", {"batch": cleanup.BATCH, "most": cleanup.BATCH})

    assert clean_up() == cleanup.BATCH
    assert left() == 1


def test_a_dead_letter_leaves_long_after_it_was_resolved_and_never_while_it_is_open():
    old, young = (datetime.now(UTC) - timedelta(days=days) for days in (DAYS + 1, DAYS - 1))
    place = {
        "handler": "h",
        "topic": "t",
        "partition": 0,
        "offset": 1,
        "key": "k",
        "type": "x",
        "reason": "r",
        "raw": b"",
    }
    for event_id, resolved_at in (("open", None), ("just resolved", young), ("long resolved", old)):
        DeadLetterRow.objects.create(event_id=event_id, at=old, resolved_at=resolved_at, **place)

    assert clean_up() == 1
    assert set(DeadLetterRow.objects.values_list("event_id", flat=True)) == {"open", "just resolved"}


def test_a_run_inside_a_transaction_is_refused():
    fill(1, DAYS + 1)

    with pytest.raises(RuntimeError), transaction.atomic():
        clean_inbox()

    assert left() == 1


def test_runs_at_once_delete_every_row_once_and_wait_for_nobody():
    fill(3000, DAYS + 1)

    counts = at_once(*[lambda: delete_expired(INBOX, timedelta(days=DAYS), batch=100)] * 4)

    assert sum(counts) == 3000
    assert left() == 0


def test_a_row_that_somebody_has_locked_is_left_to_the_next_run():
    fill(20, DAYS + 1)
    first = InboxRow.objects.order_by("id")[0].id

    with transaction.atomic():
        InboxRow.objects.select_for_update().get(id=first)
        [count] = at_once(clean_up)

    assert count == 19
    assert clean_up() == 1


def test_zero_days_keep_every_row_for_ever(settings):
    settings.MESSAGING = {**settings.MESSAGING, "INBOX_RETENTION_DAYS": 0}
    fill(3, DAYS * 100)

    assert clean_up() == 0
    assert left() == 3


def test_times_in_some_disorder_never_let_a_young_row_leave():
    for number, days in enumerate((50, 44, 49, 43, 48, 42, 47, 41, 46, 40)):
        fill(5, days, name=str(number))

    for _ in range(5):
        clean_up()

    young = InboxRow.objects.filter(received_at__gt=cleanup._one("SELECT now() - %s", [timedelta(days=DAYS)]))
    assert young.count() == 25


def rows_read() -> tuple[int, int]:
    """Return how often the inbox was read from end to end, and how many rows were read by an index, until now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT seq_scan, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'messaging_inbox'")
        return cursor.fetchone()


def test_old_rows_are_found_by_the_primary_key_and_young_ones_are_not_read(statements):
    fill(5000, DAYS + 1)
    fill(50_000, 1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_inbox")
    scans, rows = rows_read()
    statements.clear()

    assert clean_up() == 5000

    assert len([sql for sql, _ in statements if "messaging_inbox" in sql]) < 60
    scans_after, rows_after = rows_read()
    assert scans_after == scans
    assert rows_after - rows < 5 * 5000


def test_an_inbox_row_bears_the_time_of_the_database_not_of_a_worker():
    with transaction.atomic():
        deliver(NoteAdded(key="clock", number=1))
        with connection.cursor() as cursor:
            cursor.execute("SELECT now()")
            (now,) = cursor.fetchone()

    assert set(InboxRow.objects.values_list("received_at", flat=True)) == {now}


def test_an_event_that_was_handled_within_the_retention_is_still_handled_once():
    record = record_of(NoteAdded(key="again", number=1))
    deliver(record)
    InboxRow.objects.update(received_at=cleanup._one("SELECT now() - %s", [timedelta(days=DAYS - 1)]))

    clean_up()
    deliver(record)

    assert Applied.objects.filter(key="again", handler="single").count() == 1


def test_the_clean_up_is_on_the_schedule_and_does_not_pile_up_for_ever():
    entry = BEAT_SCHEDULE["messaging.clean_up"]

    assert entry["task"] == clean_up.name
    assert 60 <= entry["options"]["expires"] <= 600  # more than two clocks differ by, less than an hour of messages


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("messaging_outbox", {"autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=1000"}),
        ("messaging_consumer_position", {"autovacuum_vacuum_scale_factor=0", "fillfactor=20"}),
        ("messaging_inbox", {"autovacuum_vacuum_scale_factor=0.02"}),
    ],
)
def test_tables_that_change_constantly_have_autovacuum_settings_of_their_own(model, wanted):
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = %s", [model])
        assert wanted <= set(cursor.fetchone()[0])


def test_a_position_that_is_moved_again_and_again_needs_no_index_entry():
    ConsumerPosition.objects.create(consumer_group="busy", topic="sample", partition=0, next_offset=0)
    hot_before, updated_before = updates_of_positions()

    for offset in range(200):
        ConsumerPosition.objects.filter(consumer_group="busy").update(next_offset=offset)

    hot, updated = updates_of_positions()
    assert updated - updated_before == 200
    assert hot - hot_before == 200


def updates_of_positions() -> tuple[int, int]:
    """Return how many updates of positions there were in this database, of them without an index entry first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relname = 'messaging_consumer_position'"
        )
        return cursor.fetchone()
