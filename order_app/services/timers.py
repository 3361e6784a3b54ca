"""The timers of sagas: deadlines, and repeated undo requests. Two runs at the same time are safe."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from messaging import outbox_pending, pending_keys, unhandled_keys
from order_app import selectors
from order_app.domain import UNDO_IS_ASKED, Guard, SagaStatus, answer_topics
from order_app.saga_changes import Changes, undo_policy
from order_app.services.requests_read import Readings, is_read, starved_place
from order_app.sql import SagaRow, lock_sagas, start_deadlines, store_offsets

Offsets = Mapping[tuple[str, int], int]


def cancel_overdue(
    *, order_ids: Iterable[UUID], end_offsets: Offsets, readings: Readings | None = None, now: datetime | None = None
) -> int:
    """Cancel the sagas whose deadline has passed and whose guard holds; return how many.

    `end_offsets` are the ends of the participants' topics, read after the deadlines. A saga without offsets gets them,
    unless a topic is missing or the order's request is still in the outbox: then no answer can exist yet. So does one
    whose offsets are beyond the present logs: they are of logs that are gone. An order that another transaction has
    locked waits for the next sweep. `readings`: how the participants read the requests, where Kafka says so. A saga
    whose request was not read gets a new deadline once that has ended: only then can its participants answer.
    """
    changes = Changes(now or timezone.now())
    rows = lock_sagas(order_ids, skip_locked=True).values()
    late = [row for row in rows if row.state.saga_status is SagaStatus.RUNNING and row.deadline <= changes.now]
    pending = pending_keys(str(row.id) for row in late)
    without = [row for row in late if _needs_offsets(row, end_offsets) and str(row.id) not in pending]
    _store_offsets(without, end_offsets)
    _store_starved(late, readings or {})
    released = _release(late, readings or {}, changes.now)
    for row, guard in _guards([row for row in late if row.id not in released], pending, readings or {}, changes.now):
        outcome = row.state.on_deadline(guard)
        if outcome.changed:
            changes.add(row, outcome, actor="deadline")
    changes.update()
    return len(changes.touched)


def ask_undo_again(*, order_ids: Iterable[UUID], now: datetime | None = None) -> int:
    """Send due undo requests again, and mark sagas stuck whose budget is spent; return how many changed.

    A request that is still in the outbox is not sent a second time.
    """
    changes = Changes(now or timezone.now())
    for row in lock_sagas(order_ids, skip_locked=True).values():
        if _undo_is_due(row, changes.now):
            empty = not outbox_pending(str(row.id))
            outcome = row.state.on_undo_due(now=changes.now, policy=undo_policy(), outbox_empty=empty)
            changes.add(row, outcome, actor="timer")
            row.state.schedule_undo(now=changes.now, policy=undo_policy())
    changes.update()
    return len(changes.touched)


def _undo_is_due(row: SagaRow, now: datetime) -> bool:
    due = row.state.undo_next_at
    return row.state.saga_status in UNDO_IS_ASKED and due is not None and due <= now


def _needs_offsets(row: SagaRow, now: Offsets) -> bool:
    """Return whether the saga has no ends of the logs that are there now. A log that is not cut only grows."""
    known = {topic for topic, _ in now}
    stored = selectors.read_places(row.guard_offsets or {}).items()
    gone = any(now.get(place, -1) < end for place, end in stored if place[0] in known)
    return gone or not _complete(row.guard_offsets)


def _store_offsets(rows: Iterable[SagaRow], offsets: Offsets) -> None:
    places = {f"{topic}/{partition}": offset for (topic, partition), offset in offsets.items()}
    if not _complete(places):
        return
    found = list(rows)
    for row in found:
        row.guard_offsets = places
    store_offsets((row.id, places) for row in found)


def _store_starved(late: Iterable[SagaRow], readings: Readings) -> None:
    """Keep where a request stands that a participant's workers are not given, beside the sagas' other offsets."""
    found = []
    for row in late:
        is_known = bool(selectors.request_places(row.guard_offsets))
        place = {} if is_known or row.guard_offsets is None else starved_place(row, readings)
        if place:
            row.guard_offsets = {**(row.guard_offsets or {}), **place}
            found.append((row.id, row.guard_offsets))
    store_offsets(found)


def _release(late: Iterable[SagaRow], readings: Readings, now: datetime) -> set[UUID]:
    """Give a new deadline to sagas whose request has been read at last, or waits for nobody; return which."""
    held = [row for row in late if selectors.request_places(row.guard_offsets)]
    released = [row.id for row in held if is_read(row, readings)]
    start_deadlines(released, now + timedelta(seconds=settings.SAGA_DEADLINE_SECONDS))
    return set(released)


def _guards(
    late: Sequence[SagaRow], pending: Collection[str], readings: Readings, now: datetime
) -> Iterator[tuple[SagaRow, Guard]]:
    """Return each saga with its guard, asking once for all of them.

    The positions are read before the inbox: an answer that is handled between the two is then seen there. The outbox
    was read before both, and it gets no new row of an order whose saga is locked.
    """
    here = selectors.answer_positions() if late else {}
    unhandled = unhandled_keys(str(row.id) for row in late) if late else set()
    for row in late:
        yield (
            row,
            Guard(
                deadline_passed=row.deadline <= now,
                end_offsets_passed=_complete(row.guard_offsets) and _passed(row.guard_offsets or {}, here),
                outbox_empty=str(row.id) not in pending,
                nothing_unhandled=str(row.id) not in unhandled,
                request_read=is_read(row, readings),
            ),
        )


def _complete(places: Mapping[str, int] | None) -> bool:
    # Right after a broker restart its metadata may lack a topic. Then the guard is incomplete, and the deadline waits.
    known = {place.rpartition("/")[0] for place in places or ()}
    return known.issuperset(answer_topics())


def _passed(places: Mapping[str, int], here: Offsets) -> bool:
    """An empty partition, or one whose end is 0, counts as passed."""
    answers = selectors.read_places(places).items()
    return all(here.get(place, 0) >= end for place, end in answers if place[0] in answer_topics())
