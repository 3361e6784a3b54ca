"""Deletes old rows in batches: each batch is a short transaction, and a run has a limit.

The hot path pays for no index on the time. Ids come from a sequence, so they ascend with time: a binary search finds
the newest old row, and the primary key leads through the rows before it (docs/decisions/0013).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from messaging.conf import conf
from messaging.states import InboxState

#: Rows in one transaction, and in one run: a run takes seconds, and the next one follows within a minute.
BATCH = 1000
MOST = 200_000

#: Ended events are deleted; an event that waits, or is a dead letter, stays until an operator resolves it.
ENDED = (InboxState.DONE, InboxState.EXHAUSTED, InboxState.SKIPPED)


@dataclass(frozen=True)
class Expiring:
    """A table whose old rows are deleted. `id` ascends with the column `time`, up to a little disorder.

    `condition` is SQL that selects the rows that may be deleted. All three are program text, never user input.
    """

    table: str
    time: str
    condition: str = "true"


_ENDED = ", ".join(f"'{state.value}'" for state in ENDED)
#: Another source's event with the same id has a row beside this one for as long as this one stays: see inbox.identity.
_NONE_BESIDE = (
    "NOT EXISTS (SELECT 1 FROM messaging_inbox AS other WHERE other.ce_id IS NOT NULL"
    " AND other.ce_id = messaging_inbox.event_id AND other.handler = messaging_inbox.handler)"
)
INBOX = Expiring("messaging_inbox", "received_at", f"state IN ({_ENDED}) AND {_NONE_BESIDE}")


def clean_inbox() -> int:
    """Delete inbox rows whose event ended more than INBOX_RETENTION_DAYS ago; return how many."""
    days = conf().inbox_retention_days
    return delete_expired(INBOX, timedelta(days=days)) if days else 0


def clean_dead_letters() -> int:
    """Delete dead letters that were resolved more than INBOX_RETENTION_DAYS ago; return how many. Open ones stay."""
    days = conf().inbox_retention_days
    resolved = f"resolved_at < now() - interval '{days} days'"
    return delete_expired(Expiring("messaging_dead_letter", "at", resolved), timedelta(days=days)) if days else 0


def may_be_forgotten(at: datetime) -> bool:
    """Return whether the inbox may have forgotten an event that was handled after `at`."""
    days = conf().inbox_retention_days
    return bool(days) and at < datetime.now(UTC) - timedelta(days=days)


def delete_expired(expiring: Expiring, older_than: timedelta, *, batch: int = BATCH, most: int = MOST) -> int:
    """Delete the table's rows that are older than that by the database's clock, oldest first, `most` or a few fewer.

    Safe to run twice at once: a run skips rows that another run has locked. RuntimeError inside a transaction.
    """
    before: datetime = _one("SELECT now() - %s", [older_than])
    last = _newest_old(expiring, before)
    deleted, after = 0, 0
    while deleted + batch <= most:
        ids = _delete_batch(expiring, before, (after, last), batch)
        deleted += len(ids)
        if len(ids) < batch:
            break
        after = max(ids)
    return deleted


def _delete_batch(expiring: Expiring, before: datetime, span: tuple[int, int], batch: int) -> list[int]:
    statement = (
        f"DELETE FROM {expiring.table} WHERE id = ANY(ARRAY("
        f"SELECT id FROM {expiring.table} WHERE id > %s AND id <= %s AND {expiring.time} < %s AND {expiring.condition}"
        " ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING id"
    )
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(statement, [*span, before, batch])
        return [row[0] for row in cursor.fetchall()]


def _newest_old(expiring: Expiring, before: datetime) -> int:
    """Return the id of about the newest old row, by binary search; 0 when nothing is old.

    Each step reads both neighbors of the middle, so it passes a stretch of deleted rows once, not at each step: their
    index entries stay until autovacuum runs.
    """
    at_or_after = f"SELECT id, {expiring.time} < %s FROM {expiring.table} WHERE id >= %s ORDER BY id LIMIT 1"
    ahead_of = f"SELECT id, {expiring.time} < %s FROM {expiring.table} WHERE id < %s ORDER BY id DESC LIMIT 1"
    low, high = 0, _one(f"SELECT coalesce(max(id), 0) FROM {expiring.table}", [])
    while low < high:
        middle = (low + high + 1) // 2
        after, is_old = _row(at_or_after, [before, middle]) or (0, False)
        if is_old:
            low = after
            continue
        ahead, is_old = _row(ahead_of, [before, middle]) or (0, True)
        if is_old:
            return int(ahead)
        high = ahead - 1
    return int(low)


def _one(statement: str, parameters: list[Any]) -> Any:
    return (_row(statement, parameters) or (None,))[0]


def _row(statement: str, parameters: list[Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row
