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
    """Return whether every participant that lives has read the request, as far as it was ever seen not to be."""
    ends = selectors.request_places(row.guard_offsets)
    asked = list(_of_pending(row, readings))
    return all(not each.alive or each.has_read(partition, end) for each in asked for partition, end in ends.items())


def _of_pending(row: SagaRow, readings: Readings) -> Iterator[Reading]:
    for step in steps.STEPS:
        state = row.state.steps.get(step.name)
        if state and state.status is StepStatus.PENDING and step.group in readings:
            yield readings[step.group]
