"""Whether the database has lost commits: a backup was restored, or a standby took over that lagged (`SAGA.md` §4).

A restored service would decide some orders otherwise than it has already published. So nothing at all goes on, as soon
as one position of the service lies behind what Kafka was told: neither the other partitions nor the parked keys.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection

from messaging.conf import conf

#: How the reason of a partition begins that lost commits itself, in its row for the operators.
LOST = "the database lost commits"

#: How that of the partitions of another group of the service begins.
ELSEWHERE = f"another group of this service is stopped, since {LOST}"

_FLAGGED = """
SELECT EXISTS (SELECT 1 FROM messaging_consumer_position WHERE stopped_reason LIKE %s AND consumer_group = ANY(%s))
"""
_TAKE_BACK = """
UPDATE messaging_consumer_position SET stopped_reason = NULL, stopped_at = NULL
 WHERE consumer_group = %s AND (stopped_reason LIKE %s OR stopped_reason LIKE %s)
"""
#: Each consumer of this process, with the start of the server on which it has compared everything; None: not yet.
_compared: dict[Any, datetime | None] = {}


def reason(place: str, row: int | None, committed: int | None) -> str | None:
    """Return why `row` shows lost commits: it lies behind Kafka's offset `committed`. None when it does not."""
    if committed is None or (row is not None and row >= committed):
        return None
    here = "has no position" if row is None else f"is at {row}"
    return (
        f"{LOST} (a backup restored, a standby that lagged), or the group was moved from outside: {place} {here}, and"
        f" {committed} was committed. Going on could contradict what was already published"
    )


def is_flagged(besides: str | None = None) -> bool:
    """Tell whether a group of this service, `besides` one, is stopped because the database lost commits."""
    groups = [name for name in conf().groups if name != besides]
    with connection.cursor() as cursor:
        cursor.execute(_FLAGGED, [f"{LOST}%", groups])
        return bool(cursor.fetchone()[0])


def speaks_of_loss(stop_reason: str) -> bool:
    """Tell whether a partition was stopped because commits were lost, there or elsewhere in the service."""
    return stop_reason.startswith((LOST, ELSEWHERE))


def take_back(group: str) -> None:
    """Take the reasons back that speak of a loss: nothing of the group is lost (any more)."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_BACK, [group, f"{LOST}%", f"{ELSEWHERE}%"])


def server_start() -> datetime:
    """Return when the database server was started: another one, or a restored one, has another start."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_postmaster_start_time()")
        found: datetime = cursor.fetchone()[0]
        return found


def note(consumer: Any, server: datetime | None) -> None:
    """Note that a consumer of this process has found nothing lost on `server`, or, with None, has yet to look."""
    _compared[consumer] = server


def has_compared(consumer: Any) -> bool:
    """Tell whether the consumer has compared everything since the last error, and nothing was lost."""
    return _compared.get(consumer) is not None


def forget(consumer: Any) -> None:
    """Note that the consumer has ended."""
    _compared.pop(consumer, None)


def parked_keys_may_go_on() -> bool:
    """Tell whether nothing is known to be lost, and every consumer of this process has looked on this very server."""
    looked = list(_compared.values())
    return not is_flagged() and (not looked or set(looked) == {server_start()})
