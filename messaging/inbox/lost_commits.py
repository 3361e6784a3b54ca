"""Detects a database that lost commits: a restored backup, or a standby that lagged and took over.

A restored service could decide some orders differently from what it has already published. So as soon as one position
lies behind the offset committed to Kafka, the whole service stops: every partition, and every parked key.
See `docs/explanation/saga.md`, "A database restored from a backup".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection

from messaging.conf import conf

#: The start of the stop reason of a partition whose position lies behind.
LOST = "the database lost commits"

#: The start of the stop reason in the service's other groups.
ELSEWHERE = f"another group of this service is stopped, since {LOST}"

_FLAGGED = """
SELECT EXISTS (SELECT 1 FROM messaging_consumer_position WHERE stopped_reason LIKE %s AND consumer_group = ANY(%s))
"""
_CLEAR = """
UPDATE messaging_consumer_position SET stopped_reason = NULL, stopped_at = NULL
 WHERE consumer_group = %s AND (stopped_reason LIKE %s OR stopped_reason LIKE %s)
"""
#: Each consumer of this process → the start time of the server on which it compared all positions; None: not yet.
_compared: dict[Any, datetime | None] = {}


def reason(place: str, row: int | None, committed: int | None) -> str | None:
    """Return why `row` shows lost commits: it lies behind Kafka's offset `committed`. None when it does not."""
    if committed is None or (row is not None and row >= committed):
        return None
    here = "has no position" if row is None else f"is at {row}"
    return (
        f"{LOST} (a backup was restored, or a standby that lagged took over), or another tool moved the group:"
        f" {place} {here}, but Kafka has {committed}. Continuing could contradict published events."
        " See docs/howto/move-a-group.md"
    )


def is_flagged(except_group: str | None = None) -> bool:
    """Return whether a group of this service other than `except_group` is stopped, since commits were lost."""
    groups = [name for name in conf().groups if name != except_group]
    with connection.cursor() as cursor:
        cursor.execute(_FLAGGED, [f"{LOST}%", groups])
        return bool(cursor.fetchone()[0])


def is_about_lost_commits(stop_reason: str) -> bool:
    """Return whether this stop reason is about lost commits, in that partition or elsewhere in the service."""
    return stop_reason.startswith((LOST, ELSEWHERE))


def clear(group: str) -> None:
    """Clear the group's stop reasons that are about lost commits."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR, [group, f"{LOST}%", f"{ELSEWHERE}%"])


def server_start() -> datetime:
    """Return when the database server started; another server, or a restored one, has another start time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_postmaster_start_time()")
        found: datetime = cursor.fetchone()[0]
        return found


def record_compared(consumer: Any, server: datetime | None) -> None:
    """Record that a consumer of this process found nothing lost on `server`; None: it has yet to compare."""
    _compared[consumer] = server


def has_compared(consumer: Any) -> bool:
    """Return whether the consumer has compared all positions since the last error, and found nothing lost."""
    return _compared.get(consumer) is not None


def forget(consumer: Any) -> None:
    """Forget a consumer that has ended."""
    _compared.pop(consumer, None)


def parked_keys_may_run() -> bool:
    """Return whether no loss is known, and every consumer of this process has compared on the present server."""
    looked = list(_compared.values())
    return not is_flagged() and (not looked or set(looked) == {server_start()})
