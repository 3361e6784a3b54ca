"""Whether the participants can have read an order's request: a partition that none of their workers has is not asked.

A foreign member of a participant's consumer group takes its share of the partitions, and the orders there would all be
canceled at their deadline. The place of such a request is kept among the saga's guard offsets, once it was seen to be
so, until the participant has read that far.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from contracts.order import TOPIC
from messaging import Reading
from order_app import selectors
from order_app.domain import StepStatus, steps
from order_app.sql import SagaRow

#: Consumer group → how that participant reads the requests. One of which Kafka says nothing is left out.
Readings = Mapping[str, Reading]


def starved_place(row: SagaRow, readings: Readings) -> dict[str, int]:
    """Return the place of the saga's request and the end of its log, when a participant's workers do not have it."""
    for reading in _of_pending(row, readings):
        partition = reading.partition_of(str(row.id))
        if reading.is_starved(partition):
            return {f"{TOPIC}/{partition}": reading.ends[partition]}
    return {}


def is_read(row: SagaRow, readings: Readings) -> bool:
    """Return whether every participant that lives has read the request, as far as it was ever seen not to be.

    While its group shares the partitions out, nobody can tell who has the request: then it counts as not read, in this
    sweep alone. A log that no longer has the place is another one.
    """
    places = selectors.request_places(row.guard_offsets)
    return not any(
        each.alive and (_is_unread(each, places) or _may_be_starved(each, str(row.id)))
        for each in _of_pending(row, readings)
    )


def _is_unread(reading: Reading, places: Mapping[int, int]) -> bool:
    return any(
        end <= reading.ends.get(partition, -1) and not reading.has_read(partition, end)
        for partition, end in places.items()
    )


def _may_be_starved(reading: Reading, key: str) -> bool:
    partition = reading.partition_of(key)
    return not reading.is_stable and not reading.has_read(partition, reading.ends[partition])


def _of_pending(row: SagaRow, readings: Readings) -> Iterator[Reading]:
    for step in steps.STEPS:
        state = row.state.steps.get(step.name)
        if state and state.status is StepStatus.PENDING and step.group in readings:
            yield readings[step.group]
