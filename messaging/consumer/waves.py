"""Waves: one batch is split so that handlers get many events at once and every key keeps its order.

Consecutive events of a key for one handler share a wave; a change of handler starts the key's next wave.
"""

from __future__ import annotations

from collections.abc import Iterable

from messaging.context import Delivery
from messaging.registry import Handler

Wave = dict[Handler, list[Delivery]]


def waves_of(pairs: Iterable[tuple[Delivery, Handler]]) -> list[Wave]:
    """Split (delivery, handler) pairs, in the order of the log, into waves; deliveries are in key order within one."""
    waves: list[Wave] = []
    last: dict[tuple[str, str], tuple[int, Handler]] = {}
    for delivery, handler in pairs:
        sequence = (delivery.context.topic, delivery.context.key)
        index, before = last.get(sequence, (0, handler))
        if before is not handler:
            index += 1
        last[sequence] = (index, handler)
        while len(waves) <= index:
            waves.append({})
        waves[index].setdefault(handler, []).append(delivery)
    for wave in waves:
        for deliveries in wave.values():
            deliveries.sort(key=_place)
    return waves


def _place(delivery: Delivery) -> tuple[str, str, int, int]:
    context = delivery.context
    return (context.key, context.topic, context.partition, context.offset)
