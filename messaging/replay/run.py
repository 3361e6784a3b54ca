"""Replay: read a range of a topic again and pass it through the inbox, under the live consumer's locks.

Only what was never applied is applied (promise P10). An inbox row in any state counts as handled; an event is refused
when the same handler has later rows of its key, since it would then take effect out of order.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import close_old_connections, transaction
from kafka import KafkaConsumer, TopicPartition

from messaging.consumer.batch import apply
from messaging.consumer.bisection import parts_of
from messaging.consumer.one_by_one import apply_one_by_one
from messaging.database import session_lock
from messaging.error_kinds import Kind, kind_of
from messaging.errors import ExitCode, RangeRefused, SlowAttempt
from messaging.ids import spellings
from messaging.inbox import identity, rows
from messaging.inbox.decoding import Poison, Work, read
from messaging.kafka.records import readable_key
from messaging.outbox.publish import gather
from messaging.registry import Handler
from messaging.replay import guards
from messaging.replay.plan import Plan

#: First of the two numbers of the advisory lock that keeps a topic to one replay at a time.
LOCK_SPACE = 0x0B0E
#: Seconds without a record, short of the range's end, after which a replay gives up.
SILENT_SECONDS = 30


@dataclass
class ReplayOutcome:
    """What a replay did, or a dry run would do: counts by event type."""

    applied: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)

    @property
    def types(self) -> list[str]:
        return sorted({*self.applied, *self.done, *self.refused, *self.passed_over})


def replay(
    plan: Plan, consumer: KafkaConsumer, outcome: ReplayOutcome, *, execute: bool, progress: Callable[[int], Any]
) -> None:
    """Read the plan's range with `consumer`'s own assignment; apply what was never applied, or only count.

    The caller holds `replay_lock()`. The run counts in `outcome`, and calls `progress` with the number of passed
    offsets. A failing event is retried, parked or kept as the live consumer does. RangeRefused when the broker returns
    nothing more, or what stops the live consumer stops the replay (replay/guards.py); what came before stays applied.
    """
    for records, passed in records_of(plan, consumer):
        works = [work for record in records if (work := _selected(record, plan, outcome))]
        if works:
            _take(works, plan, outcome, execute=execute)
        progress(passed)


@contextmanager
def replay_lock(topic: str) -> Iterator[None]:
    """Hold the topic's replay lock for a with block. RangeRefused when another replay of the topic runs."""
    with session_lock(LOCK_SPACE, topic) as mine:
        if not mine:
            raise RangeRefused(f"another replay of {topic} is running; wait until it ends", ExitCode.BUSY)
        yield


def records_of(plan: Plan, consumer: KafkaConsumer) -> Iterator[tuple[list[Any], int]]:
    """Yield the records of the range, poll by poll, with the number of offsets that were passed."""
    left = {TopicPartition(*place): stop for place, (_, stop) in plan.ranges.items()}
    at = {TopicPartition(*place): start for place, (start, _) in plan.ranges.items()}
    consumer.assign(list(left))
    for tp, start in at.items():
        consumer.seek(tp, start)
    moved_at = time.monotonic()
    while left:
        polled = consumer.poll(timeout_ms=1000)
        before = sum(at.values())
        records = [record for tp, batch in polled.items() if tp in left for record in batch if record.offset < left[tp]]
        for tp in list(left):
            at[tp] = min(consumer.position(tp), left[tp])
            if at[tp] >= left[tp]:
                del left[tp]
                consumer.pause(tp)
        passed = sum(at.values()) - before
        moved_at = time.monotonic() if passed else moved_at
        if time.monotonic() - moved_at > SILENT_SECONDS:
            raise RangeRefused(
                f"Kafka returned nothing for {SILENT_SECONDS} s; run the same command again", ExitCode.INCOMPLETE
            )
        yield records, passed


def _selected(record: Any, plan: Plan, outcome: ReplayOutcome) -> Work | None:
    """Decode a record and keep the selected handlers; count what is passed over."""
    if plan.request.key is not None and readable_key(record) not in spellings(plan.request.key):
        return None
    item = read(record, plan.group, datetime.now(UTC))
    if item is None or isinstance(item, Poison):
        outcome.passed_over["(no handler here)" if item is None else "(undecodable)"] += 1
        return None
    wanted = [each for each in item.handlers if plan.request.handler in (None, each.name)]
    return item.at(wanted) if wanted else None


def _take(works: Sequence[Work], plan: Plan, outcome: ReplayOutcome, *, execute: bool) -> None:
    """Handle one poll's records in one transaction; by halves when one of them fails."""
    begin = time.monotonic()
    try:
        counts = _take_together(works, plan, execute=execute)
    except Exception as error:
        if kind_of(error) is Kind.OUTAGE or isinstance(error, RangeRefused) or not execute:
            raise
        if len(works) == 1:
            _add(outcome, _take_one(works[0], plan))
            return
        for part in parts_of(works, time.monotonic() - begin):
            _take(part, plan, outcome, execute=execute)
    else:
        _add(outcome, counts)


def _take_together(works: Sequence[Work], plan: Plan, *, execute: bool) -> ReplayOutcome:
    counts = ReplayOutcome()
    with transaction.atomic(), gather():
        guards.lock_positions(plan)
        to_apply = _unhandled(works, plan, counts)
        if execute:
            guards.refuse_to_apply(plan)
            apply(plan.group, to_apply)
    return counts


def _take_one(work: Work, plan: Plan) -> ReplayOutcome:
    """Attempts, savepoints, failure answers and parking, as the live consumer has them."""
    try:
        return _try_one(work, plan, {})
    except SlowAttempt as slow:
        close_old_connections()
        return _try_one(work, plan, {slow.handler: slow})


def _try_one(work: Work, plan: Plan, slow: dict[str, SlowAttempt]) -> ReplayOutcome:
    counts = ReplayOutcome()
    with transaction.atomic(), gather():
        guards.lock_positions(plan)
        guards.refuse_to_apply(plan)
        for unhandled in _unhandled([work], plan, counts):
            apply_one_by_one(plan.group, unhandled, slow)
    return counts


def _unhandled(works: Sequence[Work], plan: Plan, counts: ReplayOutcome) -> list[Work]:
    """Sort each (event, handler) into done, refused and to apply; return what is to apply."""
    handlers: dict[Handler, list[Work]] = {}
    for work in works:
        for handler in work.handlers:
            handlers.setdefault(handler, []).append(work)
    wanted: dict[object, list[Handler]] = {}
    for handler, mine in handlers.items():
        known = identity.known([work.entry_at(handler) for work in mine])
        later = rows.later_keys(handler, [work.record for work in mine], plan.partitions)
        passed: set[object] = set()
        for work in mine:
            if work.entry_at(handler) in known or work.identity in passed:
                counts.done[work.record.type] += 1
            elif (work.record.key, work.record.offset) in later:
                counts.refused[work.record.type] += 1
            else:
                counts.applied[work.record.type] += 1
                passed.add(work.identity)  # the log may contain it several times
                wanted.setdefault(work.identity, []).append(handler)
    return [work.at(wanted[work.identity]) for work in works if work.identity in wanted]


def _add(outcome: ReplayOutcome, counts: ReplayOutcome) -> None:
    for name in ("applied", "done", "refused", "passed_over"):
        getattr(outcome, name).update(getattr(counts, name))
