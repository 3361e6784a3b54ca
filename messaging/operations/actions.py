"""What operators may do to parked keys, dead letters and handlers. The audit log records each call.

Retry, edit and skip lock the parked keys first, then the inbox rows, and read only then. So they see what another
operator or a retry did, and repeating an action changes nothing. They only prepare: the retry of parked keys runs the
handlers, in the order of each key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg2
from django.db import DatabaseError, connection, transaction

from messaging import audit_log
from messaging.audit_log import ActionResult, Target
from messaging.conf import group_of
from messaging.error_kinds import Kind, kind_of
from messaging.errors import Refused
from messaging.inbox import identity, positions, rows
from messaging.inbox.decoding import Poison, Work, read
from messaging.kafka.records import RawRecord, packed, unpacked
from messaging.operations import locking
from messaging.operations.edit_record import check_identity, edited
from messaging.operations.locking import Found
from messaging.parking import due_times, pauses
from messaging.parking.keys import ToPark, lock_exclusively, park
from messaging.registry import NO_HANDLER
from messaging.retention.cleanup import may_be_forgotten
from messaging.states import InboxState, Resolution

#: Targets of one transaction, and of one row in the audit log.
CHUNK = 100

_WAIT = """
UPDATE messaging_inbox SET state = 'waiting', attempts = 0, raw = %s, next_attempt_at = now()
 WHERE event_id = %s AND handler = %s
"""
_LEAVE_QUEUE = """
UPDATE messaging_inbox SET state = %s, raw = NULL, next_attempt_at = NULL WHERE event_id = %s AND handler = %s
"""
_RESOLVE = """
UPDATE messaging_dead_letter SET resolved_at = now(), resolution = %s, edited = coalesce(%s, edited)
 WHERE event_id = %s AND handler = %s AND resolved_at IS NULL
"""

Act = Callable[[Found], str]


class Unchanged(Exception):
    """The action would change nothing; the message says why."""


def retry(events: Sequence[Target], *, actor: str, reason: str, allow_reorder: bool = False) -> list[ActionResult]:
    """Retry these events in the order of their keys, with the attempts reset. ReasonMissing without a reason.

    `events` are pairs (event id, handler); dead_letters() and parked_keys() find them. A dead letter that parked
    nothing is refused when its handler has handled later events of the key, unless `allow_reorder`.
    """
    return _act("retry", events, actor, reason, lambda found: _retry(found, None, allow_reorder))


def edit_and_retry(
    event: Target,
    *,
    value: bytes | None = None,
    headers: dict[str, str] | None = None,
    actor: str,
    reason: str,
    allow_reorder: bool = False,
) -> ActionResult:
    """Retry a dead letter with another value or other headers; the original stays stored beside it.

    Refused, in the result, when the new record does not fit its event's schema, is about another key, or has another
    ce_id. ReasonMissing without a reason.
    """

    def edit(found: Found) -> str:
        if found.state != InboxState.DEAD:
            raise Refused("it is not a dead letter: only dead letters can be edited, since their original is kept")
        return _retry(found, edited(unpacked(_raw(found)), value, headers), allow_reorder)

    return _act("edit and retry", [event], actor, reason, edit)[0]


def skip(events: Sequence[Target], *, actor: str, reason: str) -> list[ActionResult]:
    """Skip these events at these handlers for good; later events of the key continue. ReasonMissing."""
    return _act("skip", events, actor, reason, _skip, parks=False)


def pause(name: str, *, actor: str, reason: str) -> ActionResult:
    """Pause a handler or a topic of this service, with every partition of its topics. UnknownName, ReasonMissing."""
    pauses.check_name(name)
    return _switch("pause", name, actor, reason, lambda: pauses.insert(name, reason=reason.strip(), actor=actor))


def resume(name: str, *, actor: str, reason: str) -> ActionResult:
    """End the pause of a handler or a topic. UnknownName, ReasonMissing."""
    if name not in pauses.names():  # a handler that the code no longer has may still be paused
        pauses.check_name(name)
    return _switch("resume", name, actor, reason, lambda: pauses.delete(name))


def _act(
    verb: str, events: Sequence[Target], actor: str, reason: str, act: Act, *, parks: bool = True
) -> list[ActionResult]:
    """Act on the events in chunks: one transaction and one row of the audit log each."""
    audit_log.check_reason(reason)
    results: list[ActionResult] = []
    for chunk in _chunks(list(dict.fromkeys(events))):
        try:
            results += _together(verb, chunk, actor, reason, act, parks=parks)
        except DatabaseError as error:
            if kind_of(error) is not Kind.TRANSIENT:
                raise
            detail = f"another operator or a retry has locked it. Repeat the action. The database said: {error}"
            failed = [ActionResult(event, "failed", detail) for event in chunk]
            audit_log.write(verb, actor, reason, failed)
            results += failed
    return results


def _chunks(events: list[Target]) -> Iterator[list[Target]]:
    for start in range(0, len(events), CHUNK):
        yield events[start : start + CHUNK]


def _together(verb: str, chunk: list[Target], actor: str, reason: str, act: Act, *, parks: bool) -> list[ActionResult]:
    with transaction.atomic():
        found = locking.lock(chunk)
        if parks:
            _lock_positions(found.values())
        done = {event: _one(each, act) for event, each in found.items()}
        due_times.look_now((each.entry.topic, each.entry.key) for each in found.values() if each.parked)
        missing = "there is no such event at this handler"
        results = [done.get(event) or ActionResult(event, "unknown", missing) for event in chunk]
        audit_log.write(verb, actor, reason, results)
    return results


def _lock_positions(found: Any) -> None:
    """Lock, in order, the position rows of partitions in which a key will be parked: only their holder may park."""
    free = [each.entry for each in found if each.state == InboxState.DEAD and each.entry.key and not each.parked]
    places = {(group_of(entry.topic), entry.topic, entry.partition) for entry in free}
    for group in sorted({group for group, _, _ in places}):
        positions.lock(group, [(topic, partition) for own, topic, partition in places if own == group])


def _one(found: Found, act: Act) -> ActionResult:
    """Act on one event. A refusal is raised before anything is written."""
    event = found.entry.identity
    try:
        if found.state not in (InboxState.WAITING, InboxState.DEAD):
            return ActionResult(event, "unchanged", f"it is {found.state} already")
        return ActionResult(event, "done", act(found))
    except Unchanged as why:
        return ActionResult(event, "unchanged", str(why))
    except Refused as why:
        return ActionResult(event, "refused", str(why))


def _retry(found: Found, new: RawRecord | None, allow_reorder: bool) -> str:
    if new is None and found.is_due:
        raise Unchanged("it is due already")
    raw = _raw(found) if new is None else packed(new)
    work = _readable(found, unpacked(raw))
    if not found.queued:
        _queue_again(found, allow_reorder)
    if found.entry.handler == NO_HANDLER:
        _take_apart(found, work, raw)
    else:
        _execute(_WAIT, [psycopg2.Binary(raw), *found.entry.identity])
    resolution = Resolution.RETRIED if new is None else Resolution.EDITED
    _execute(_RESOLVE, [resolution.value, None if new is None else psycopg2.Binary(raw), *found.entry.identity])
    return "it will be retried, in the order of its key"


def _raw(found: Found) -> bytes:
    if found.raw is None:
        raise Refused("its record is no longer stored: read it from its topic with replay_topic, or skip it")
    return found.raw


def _readable(found: Found, record: RawRecord) -> Work:
    """Decode the record with the current code; Refused when that fails, or when it would be another event."""
    entry = found.entry
    if not entry.key:
        raise Refused("its key cannot be read, so it has no order: have its publisher publish it again, or skip it")
    item = read(record, group_of(record.topic), found.received_at)
    if item is None:
        raise Refused("no handler of this service subscribes to its type: skip it")
    if isinstance(item, Poison):
        raise Refused(f"it cannot be decoded: {item.error}. Edit it, deploy code that can read it, or skip it")
    if entry.handler not in (NO_HANDLER, *(handler.name for handler in item.handlers)):
        raise Refused(f"{entry.handler} does not handle this type (any more): skip it")
    check_identity(unpacked(found.original or _raw(found)), record)
    return item


def _queue_again(found: Found, allow_reorder: bool) -> None:
    """Put a dead letter that parked nothing into its key's queue, and park the key for that.

    The position row or the parked key is locked: later events are visible, and no further ones can arrive.
    """
    entry = found.entry
    if not allow_reorder and may_be_forgotten(found.received_at):
        raise Refused(
            "it is older than the inbox retention: later events of its key may already be handled. Skip it, or apply it"
            " out of order with replay_dead_letters --allow-reorder"
        )
    if not allow_reorder and rows.has_later_effect(entry):
        raise Refused(
            "this handler has already handled later events of its key. Skip it, or apply it out of order with"
            " replay_dead_letters --allow-reorder"
        )
    if found.parked:
        return
    park(group_of(entry.topic), [ToPark(entry.topic, entry.key, entry.partition)])
    lock_exclusively(entry.topic, entry.key)


def _take_apart(found: Found, work: Work, raw: bytes) -> None:
    """Queue a record that could not be decoded, and now can be, for each of its handlers, in its place."""
    key = found.entry.key  # as it is parked; an older release kept foreign spellings
    new = identity.insert_new(entry._replace(key=key) for entry in work.entries)
    rows.queue([(entry, raw) for entry in new.values()])
    _execute(_LEAVE_QUEUE, [InboxState.DONE.value, *found.entry.identity])


def _skip(found: Found) -> str:
    _execute(_LEAVE_QUEUE, [InboxState.SKIPPED.value, *found.entry.identity])
    _execute(_RESOLVE, [Resolution.SKIPPED.value, None, *found.entry.identity])
    return "it will not be handled; later events of its key continue"


def _execute(sql: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _switch(verb: str, name: str, actor: str, reason: str, work: Callable[[], bool]) -> ActionResult:
    audit_log.check_reason(reason)
    with transaction.atomic():
        result = (
            ActionResult(("", name), "done")
            if work()
            else ActionResult(
                ("", name), "unchanged", "it is paused already" if verb == "pause" else "it is not paused"
            )
        )
        audit_log.write(verb, actor, reason, [result])
    return result
