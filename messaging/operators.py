"""What operators may do to parked keys, dead letters and handlers. Each call is one row in the ledger.

Retry, edit and skip lock the parked key first, read again, and then write: whatever another operator or the drain did
meanwhile is seen, and doing the same twice changes nothing. They only prepare; the drain runs the handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg2
from django.db import connection, transaction

from messaging import inbox, parking, pauses, positions
from messaging.drain import group_of
from messaging.errors import MessagingError
from messaging.inbox import NO_HANDLER, Entry, entry_of
from messaging.models import OperatorAction
from messaging.parking import ToPark
from messaging.reading import Poison, Work, read
from messaging.record import RawRecord, packed, unpacked
from messaging.registry import handler_named
from messaging.states import InboxState, Resolution

#: An event at a handler: (event id, handler name).
Target = tuple[str, str]


class ReasonMissing(MessagingError):
    """An operator's action needs a reason: it is kept in the ledger."""


class Refused(MessagingError):
    """This can't be done to this event; the message says why, and what can."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one target. `outcome`: done, unchanged, refused or unknown; `detail` says why, for people."""

    event_id: str
    handler: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Stored:
    """An event at a handler that waits or is dead, read under its key's lock."""

    entry: Entry
    state: str
    received_at: datetime
    raw: bytes
    parked: bool
    letter_open: bool


_FIND = """
SELECT row.event_id, row.handler, row.topic, row.partition, row."offset", row.key, row.state, row.received_at,
       coalesce(row.raw, letter.edited, letter.raw), letter.id IS NOT NULL AND letter.resolved_at IS NULL
  FROM messaging_inbox AS row
  LEFT JOIN messaging_dead_letter AS letter ON letter.event_id = row.event_id AND letter.handler = row.handler
 WHERE row.event_id = %s AND row.handler = %s
"""
_WAIT = """
UPDATE messaging_inbox SET state = 'waiting', attempts = 0, raw = %s, next_attempt_at = %s
 WHERE event_id = %s AND handler = %s
"""
_LEAVE_QUEUE = """
UPDATE messaging_inbox SET state = %s, raw = NULL, next_attempt_at = NULL WHERE event_id = %s AND handler = %s
"""
_RESOLVE = """
UPDATE messaging_dead_letter SET resolved_at = now(), resolution = %s, edited = coalesce(%s, edited)
 WHERE event_id = %s AND handler = %s AND resolved_at IS NULL
"""


def retry(targets: Sequence[Target], *, actor: str, reason: str, allow_reorder: bool = False) -> list[Result]:
    """Let these events be tried again, attempts afresh, in the order of their keys. ReasonMissing without a reason.

    A dead letter that parked nothing is refused when its handler has handled later events of the key, unless
    `allow_reorder`.
    """
    return _act("retry", targets, actor, reason, lambda stored: _retry(stored, None, allow_reorder))


def edit_and_retry(
    target: Target, *, value: bytes, actor: str, reason: str, headers: dict[str, str] | None = None
) -> Result:
    """Let a dead letter be tried again with another value, and headers where given; the original is kept.

    Refused, in the result, when the new record does not fit its event's schema, or is about another key.
    ReasonMissing without a reason.
    """

    def edit(stored: _Stored) -> str:
        return _retry(stored, edited(unpacked(stored.raw), value, headers), allow_reorder=False)

    return _act("edit and retry", [target], actor, reason, edit)[0]


def skip(targets: Sequence[Target], *, actor: str, reason: str) -> list[Result]:
    """Let these events never be handled by these handlers; what waits behind them goes on. ReasonMissing."""
    return _act("skip", targets, actor, reason, _skip)


def pause(name: str, *, actor: str, reason: str) -> Result:
    """Pause a handler or a topic of this service. UnknownName, ReasonMissing."""
    return _switch("pause", name, actor, reason, lambda: pauses.insert(name, reason=reason, actor=actor))


def resume(name: str, *, actor: str, reason: str) -> Result:
    """Let a paused handler or topic go on. UnknownName, ReasonMissing."""
    return _switch("resume", name, actor, reason, lambda: pauses.delete(name))


def edited(record: RawRecord, value: bytes, headers: dict[str, str] | None) -> RawRecord:
    """Return the record with another value, and these headers instead of its own of the same names."""
    new = headers or {}
    kept = [(name, old) for name, old in record.headers if name not in new]
    pairs = [*kept, *((name, text.encode()) for name, text in new.items())]
    return RawRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, pairs, value)


def _act(verb: str, targets: Sequence[Target], actor: str, reason: str, work: Callable[[_Stored], str]) -> list[Result]:
    """Do it to each target in a transaction of its own, in the order of their keys, and write it all down."""
    _check_reason(reason)
    results = [_one(target, work) for target in dict.fromkeys(targets)]
    note(verb, actor, reason, [list(target) for target in targets], results)
    return results


def _one(target: Target, work: Callable[[_Stored], str]) -> Result:
    try:
        with transaction.atomic():
            stored = _locked(target)
            if stored is None:
                return Result(*target, "unknown", "there is no such event at this handler")
            if stored.state not in (InboxState.WAITING, InboxState.DEAD) or not stored.raw:
                return Result(*target, "unchanged", f"it is {stored.state} already")
            return Result(*target, "done", work(stored))
    except Refused as refusal:
        return Result(*target, "refused", str(refusal))


def _locked(target: Target) -> _Stored | None:
    """Lock the target's parked key, if it has one, then read it."""
    before = _read(target)
    if before is None:
        return None
    parked = parking.lock_alone(before.entry.topic, before.entry.key)
    return _read(target, parked=parked)


def _read(target: Target, *, parked: bool = False) -> _Stored | None:
    with connection.cursor() as cursor:
        cursor.execute(_FIND, target)
        row = cursor.fetchone()
    if row is None:
        return None
    raw = b"" if row[8] is None else bytes(row[8])
    return _Stored(Entry(*row[:6]), row[6], row[7], raw, parked, row[9])


def _retry(stored: _Stored, new: RawRecord | None, allow_reorder: bool) -> str:
    raw = stored.raw if new is None else packed(new)
    work = _readable(stored, unpacked(raw))
    if not stored.entry.key:
        raise Refused("its key can't be read, so nothing orders it: let its publisher publish it again, or skip it")
    if not stored.parked:
        _park(stored, work, allow_reorder)
    if stored.entry.handler == NO_HANDLER:
        _take_apart(stored, work, raw)
    else:
        _execute(_WAIT, [psycopg2.Binary(raw), datetime.now(UTC), *stored.entry.identity])
    resolution = Resolution.RETRIED if new is None else Resolution.EDITED
    _execute(_RESOLVE, [resolution.value, None if new is None else psycopg2.Binary(raw), *stored.entry.identity])
    return "it is tried again in its key's order"


def _readable(stored: _Stored, record: RawRecord) -> Work:
    """Read the record with today's code; Refused when that can't be, or when it is about another event or key."""
    item = read(record, group_of(record.topic), stored.received_at)
    if item is None:
        raise Refused("nobody here subscribes to its type: skip it")
    if isinstance(item, Poison):
        raise Refused(f"it can't be read: {item.error}")
    if item.record.key != stored.entry.key:
        raise Refused(f"it would be about the key {item.record.key}, not {stored.entry.key}")
    known = stored.entry.handler == NO_HANDLER or item.record.event_id == stored.entry.event_id
    if not known:
        raise Refused("its ce_id can't be changed: the inbox knows the event by it")
    return item


def _park(stored: _Stored, work: Work, allow_reorder: bool) -> None:
    """Park the key of an event for which nothing waits, so that it has an order with what comes now."""
    entry = stored.entry
    if entry.handler != NO_HANDLER and not allow_reorder and inbox.later_keys(handler_named(entry.handler), [entry]):
        raise Refused("this handler has handled later events of the key: it would take effect out of order")
    group = group_of(entry.topic)
    positions.lock(group, [(entry.topic, entry.partition)])
    parking.park(group, [ToPark(entry.topic, entry.key, entry.partition)])


def _take_apart(stored: _Stored, work: Work, raw: bytes) -> None:
    """Give a record that could not be read, and now can be, to its handlers; each of them takes it in its place."""
    entries = [entry_of(work.record, handler) for handler in work.handlers]
    new = inbox.insert_new(entries)
    inbox.queue([(entry, raw) for entry in entries if entry.identity in new])
    _execute(_LEAVE_QUEUE, [InboxState.DONE.value, *stored.entry.identity])


def _skip(stored: _Stored) -> str:
    _execute(_LEAVE_QUEUE, [InboxState.SKIPPED.value, *stored.entry.identity])
    _execute(_RESOLVE, [Resolution.SKIPPED.value, None, *stored.entry.identity])
    return "it is never handled; what waits behind it goes on"


def _execute(sql: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _switch(verb: str, name: str, actor: str, reason: str, work: Callable[[], bool]) -> Result:
    _check_reason(reason)
    pauses.check_name(name)
    with transaction.atomic():
        result = Result("", name, "done" if work() else "unchanged")
        note(verb, actor, reason, [name], [result])
    return result


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise ReasonMissing("Say why: the reason is kept in the ledger.")


def note(verb: str, actor: str, reason: str, targets: Sequence[object], results: Sequence[Result]) -> None:
    """Write an action into the ledger."""
    OperatorAction.objects.create(
        verb=verb, actor=actor, reason=reason, targets=list(targets), results=[asdict(result) for result in results]
    )
