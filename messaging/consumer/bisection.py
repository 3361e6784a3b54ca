"""How a failed batch is taken apart: by halves, until the event that fails is alone.

A batch of 500 with one bad event then costs about nine failed transactions, and not 500 that handle one event each.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from messaging.consumer.one_by_one import split
from messaging.inbox.positions import Fetched

T = TypeVar("T")
Place = TypeVar("Place", bound=Hashable)

#: A batch that took longer than this, in seconds, before it failed is handled one by one: each half would wait as long,
#: for a locked row for instance.
SLOW_SECONDS = 1.0
#: Outages at one position after which the consumer asks whether the database works.
OUTAGES_AT_ONE_POSITION = 5


def parts_of(items: Sequence[T], took: float) -> list[Sequence[T]]:
    """Return the parts, in order, in which to try the items of a failed transaction that took so many seconds."""
    if took > SLOW_SECONDS:
        return [[item] for item in items]
    middle = (len(items) + 1) // 2
    return [part for part in (items[:middle], items[middle:]) if part]


def parts_of_batch(batch: Sequence[Fetched], took: float) -> list[list[Fetched]]:
    """Return the parts, in order, in which to try a failed batch."""
    return [joined(part) for part in parts_of(list(split(batch)), took)]


def joined(pieces: Iterable[Fetched]) -> list[Fetched]:
    """Join pieces of a split batch: one for each partition."""
    found: dict[tuple[str, int], Fetched] = {}
    for piece in pieces:
        before = found.get(piece.place)
        start, records = (before.start, before.records) if before else (piece.start, [])
        found[piece.place] = Fetched(piece.topic, piece.partition, start, piece.end, [*records, *piece.records])
    return list(found.values())


def is_single(batch: Sequence[Fetched]) -> bool:
    """Return whether the batch has one record."""
    return len(batch) == 1 and len(batch[0].records) == 1


@dataclass
class OutagesAtPositions(Generic[Place]):
    """How many outages followed each other at the same position: place → (position, how many)."""

    _seen: dict[Place, tuple[int, int]] = field(default_factory=dict)

    def note(self, places: Iterable[tuple[Place, int]]) -> None:
        """Count an outage at these places, each with its position."""
        for place, position in places:
            before, count = self._seen.get(place, (position, 0))
            self._seen[place] = (position, count + 1 if before == position else 1)

    def are_many(self, places: Iterable[tuple[Place, int]], many: int = OUTAGES_AT_ONE_POSITION) -> bool:
        """Return whether one of these places has seen so many outages at its position."""
        return any(
            self._seen.get(place, (0, 0))[0] == position and self._seen.get(place, (0, 0))[1] >= many
            for place, position in places
        )

    def clear(self, places: Iterable[Place]) -> None:
        """Forget the outages at these places: their position has moved."""
        for place in places:
            self._seen.pop(place, None)
