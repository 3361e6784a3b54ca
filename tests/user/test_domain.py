"""The table of the purchase history."""

from __future__ import annotations

from itertools import product

import pytest

from user_app.domain import Ending, PurchaseState, next_state

STATES = [None, *PurchaseState]


def test_every_state_knows_every_ending():
    # Then no pair is missing from the table
    assert all(next_state(state, ending) for state, ending in list(product(STATES, Ending)))


@pytest.mark.parametrize("state", STATES)
def test_a_canceled_purchase_never_counts_again(state):
    # When an order is canceled, whatever it was, and a confirmation is replayed
    canceled = next_state(state, Ending.CANCELED)
    # Then it stays canceled
    assert next_state(canceled, Ending.CONFIRMED) is PurchaseState.CANCELED


@pytest.mark.parametrize(("state", "ending"), list(product(STATES, Ending)))
def test_an_ending_told_twice_changes_nothing(state, ending):
    # When the same event arrives again
    once = next_state(state, ending)
    # Then nothing changes
    assert next_state(once, ending) is once
