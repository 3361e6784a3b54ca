"""Comparing what events leave, in whichever way and order they come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from django.db import transaction

from messaging.event import Event
from messaging.kafka.records import Received
from messaging.testing.crashes import CrashPoint
from messaging.testing.delivery import deliver, deliver_twice, deliver_with_a_crash, records_of
from messaging.testing.published import published_bytes

T = TypeVar("T")

#: 120 orders.
MOST_IN_EVERY_ORDER = 5


def states_in_every_order(
    *events: Event | Received, snapshot: Callable[[], T], group: str | None = None, singly: bool = False
) -> dict[tuple[int, ...], T]:
    """Deliver the events in every order, each time to the database as it is now; return what `snapshot()` gave then.

    The keys say the order: (1, 0) is the second event before the first. Each event is a batch of its own; everything is
    rolled back. ValueError for more than five events.
    """
    if len(events) > MOST_IN_EVERY_ORDER:
        raise ValueError(f"{len(events)} events have too many orders; give {MOST_IN_EVERY_ORDER} at most")
    records = records_of(events)
    states = {}
    for order in itertools.permutations(range(len(records))):
        with _rolled_back():
            for place in order:
                deliver(records[place], group=group, singly=singly)
            states[order] = snapshot()
    return states


def assert_same_however_delivered(
    *events: Event | Received, snapshot: Callable[[], Any] | None = None, group: str | None = None
) -> None:
    """Deliver the events once, twice, event by event, and with a crash at each point, and compare the ends.

    `snapshot()` returns what is to be the same: rows without times and row ids, say; what was published always is. Give
    the events of one key by the names of their topics, as a batch takes them. They stay delivered, once. AssertionError
    names each way that ended otherwise, with what it left.
    """
    look = snapshot or (lambda: None)
    records = records_of(events)
    ends = {name: _end_of(partial(way, group=group), records, look) for name, way in _WAYS.items()}
    deliver(*records, group=group)
    usual = (look(), published_bytes())
    wrong = {name: end for name, end in ends.items() if end != usual}
    if wrong:
        raise AssertionError(f"delivered once: {usual}\n" + "\n".join(f"{name}: {end}" for name, end in wrong.items()))


def _end_of(way: Callable[..., None], records: Sequence[Received], look: Callable[[], Any]) -> Any:
    with _rolled_back():
        way(*records)
        return look(), published_bytes()


@contextmanager
def _rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


_WAYS: dict[str, Callable[..., None]] = {
    "twice": deliver_twice,
    "event by event": partial(deliver, singly=True),
    "twice, event by event": partial(deliver_twice, singly=True),
    **{f"a crash {at.value}": partial(deliver_with_a_crash, at=at) for at in CrashPoint},
    **{f"event by event, a crash {at.value}": partial(deliver_with_a_crash, at=at, singly=True) for at in CrashPoint},
}
