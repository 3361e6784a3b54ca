"""Detects a database that lost commits: a restored backup, or a standby that lagged and took over.

A restored service could decide some orders differently from what it has already published. So as soon as one position
lies behind where its group was, the whole service stops: every partition, and every parked key. Where it was tell
Kafka's committed offset, the worker that wrote the position, and from then on the position's row (`lost_until`).
See `docs/explanation/saga.md`, "A database restored from a backup".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection

from messaging.conf import conf
from messaging.inbox import positions
from messaging.inbox.positions import ANY_LOST, Place, Stored

#: The start of the stop reason of a partition whose position lies behind.
LOST = "the database lost commits"

#: The start of the stop reason in the service's other groups.
ELSEWHERE = f"another group of this service is stopped, since {LOST}"

_FLAGGED = f"""
SELECT EXISTS (SELECT 1 FROM messaging_consumer_position WHERE stopped_reason LIKE %s AND consumer_group = ANY(%s))
    OR {ANY_LOST}
"""
_CLEAR = f"""
UPDATE messaging_consumer_position SET stopped_reason = NULL, stopped_at = NULL
 WHERE consumer_group = %s AND (stopped_reason LIKE %s OR stopped_reason LIKE %s) AND NOT {ANY_LOST}
"""
#: Each consumer of this process → the start time of the server on which it compared all positions; None: not yet.
_compared: dict[Any, datetime | None] = {}


def reason(place: str, row: int | None, committed: int | None, reached: int | None = None) -> str | None:
    """Return why `row` shows lost commits, or None.

    It lies behind Kafka's offset `committed`, or behind `reached`, where a worker or the row knows it to have been.
    """
    if (known := latest(committed, reached)) is None or (row is not None and row >= known):
        return None
    here = "has no position" if row is None else f"is at {row}"
    there = f"Kafka has {committed}" if known == committed else f"its group had reached {reached}"
    return (
        f"{LOST} (a backup was restored, or a standby that lagged took over), or another tool moved the group:"
        f" {place} {here}, but {there}. Continuing could contradict published events."
        " See docs/howto/move-a-group.md"
    )


def find(group: str, seen: Iterable[tuple[Place, Stored | None, int | None, int | None]]) -> str | None:
    """Return why nothing of this service may continue, since commits were lost; None when none were.

    `seen`: each partition of the group, its row, Kafka's offset, and the position that the asking worker wrote. What
    shows a loss is kept in the row.
    """
    reasons, reached = [], {}
    for place, row, committed, written in seen:
        known = latest(written, row.lost_until if row else None)
        if why := reason(f"{place[0]}/{place[1]}", row.next_offset if row else None, committed, known):
            reasons.append(why)
            reached[place] = latest(committed, known) or 0
    if reached:
        positions.keep_loss(group, reached)
        return reasons[0]
    return ELSEWHERE if is_flagged(except_group=group) else None


def latest(*offsets: int | None) -> int | None:
    """Return the largest of the known offsets, or None."""
    return max((each for each in offsets if each is not None), default=None)


def is_flagged(except_group: str | None = None) -> bool:
    """Return whether commits of this service were lost; by the stop reasons, of groups other than `except_group`."""
    groups = [name for name in conf().groups if name != except_group]
    with connection.cursor() as cursor:
        cursor.execute(_FLAGGED, [f"{LOST}%", groups, list(conf().groups)])
        return bool(cursor.fetchone()[0])


def is_about_lost_commits(stop_reason: str) -> bool:
    """Return whether this stop reason is about lost commits, in that partition or elsewhere in the service."""
    return stop_reason.startswith((LOST, ELSEWHERE))


def clear(group: str) -> None:
    """Clear the group's stop reasons that are about lost commits, unless another worker has found some."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR, [group, f"{LOST}%", f"{ELSEWHERE}%", list(conf().groups)])


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
