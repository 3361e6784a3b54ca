"""What waits for a broker that is frozen becomes garbage late, and does not stay in a worker's memory."""

from __future__ import annotations

import gc

from messaging.worker.bootsteps import exclude_from_garbage_collection

#: As many as survive the youngest generation's collection, since something still refers to them.
TOGETHER, TIMES = 60_000, 15


def cycles() -> list[list[object]]:
    found: list[list[object]] = []
    for _ in range(TOGETHER):
        one: list[object] = []
        one.append(one)
        found.append(one)
    return found


def test_garbage_that_was_referred_to_for_a_while_is_collected():
    thresholds = gc.get_threshold()
    try:
        exclude_from_garbage_collection()
        before, most = len(gc.get_objects()), 0
        referred_to = cycles()
        for _ in range(TIMES):
            referred_to = cycles()
            most = max(most, len(gc.get_objects()) - before)
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)

    assert len(referred_to) == TOGETHER
    assert most < TIMES * TOGETHER / 1.5
