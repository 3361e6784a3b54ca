"""Waves: each pair of event and handler once, each key in its order, and as few calls as that allows."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from messaging.consumer.waves import waves_of
from messaging.context import Delivery
from messaging.registry import Handler
from messaging.testing import record_of
from tests.messaging.sample.events import NoteAdded


def handler(name: str) -> Handler:
    return Handler(name, print, ("t",), ("topic",), True, None, "skip")


HANDLERS = [handler("a"), handler("b"), handler("c")]


def delivery(key: str, number: int) -> Delivery:
    event = NoteAdded(key=key, number=number)
    return Delivery(event, record_of(event).context())


def pairs_of(given: list[tuple[str, list[int]]]) -> list[tuple[Delivery, Handler]]:
    """Return the log's pairs: each event with the handlers of the given indexes."""
    deliveries = [(delivery(key, number), wanted) for number, (key, wanted) in enumerate(given)]
    return [(each, HANDLERS[index]) for each, wanted in deliveries for index in wanted]


logs = st.lists(st.tuples(st.sampled_from("xyz"), st.lists(st.sampled_from([0, 1, 2]), unique=True)), max_size=40)


def taken(waves: list[Any]) -> list[tuple[Delivery, Handler]]:
    return [(each, handler) for wave in waves for handler, deliveries in wave.items() for each in deliveries]


@given(logs)
def test_every_pair_is_taken_exactly_once(log):
    pairs = pairs_of(log)

    waves = waves_of(pairs)

    def names(each: list[tuple[Delivery, Handler]]) -> list[tuple[str, str]]:
        return sorted((delivery.context.event_id, handler.name) for delivery, handler in each)

    assert names(taken(waves)) == names(pairs)


@given(logs)
def test_a_keys_pairs_are_taken_in_the_order_of_the_log(log):
    pairs = pairs_of(log)

    waves = waves_of(pairs)

    for key in "xyz":
        before = [(d.context.offset, h.name) for d, h in pairs if d.context.key == key]
        after = [(d.context.offset, h.name) for d, h in taken(waves) if d.context.key == key]
        assert after == before


@given(logs)
def test_a_handler_gets_its_wave_in_key_order_and_by_offset_within_a_key(log):
    for wave in waves_of(pairs_of(log)):
        for deliveries in wave.values():
            places = [(each.context.key, each.context.offset) for each in deliveries]
            assert places == sorted(places)


@given(st.lists(st.sampled_from("xyz"), min_size=1))
def test_events_for_one_handler_alone_share_one_wave(keys):
    waves = waves_of(pairs_of([(key, [0]) for key in keys]))

    assert len(waves) == 1
    assert len(waves[0][HANDLERS[0]]) == len(keys)


def test_no_event_makes_no_wave():
    assert waves_of([]) == []
