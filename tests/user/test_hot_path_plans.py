"""A long past changes no plan: purchases are counted, and a history is read, by the same indexes."""

from __future__ import annotations

import pytest

from messaging import new_id
from messaging.testing import deliver
from tests.plans import same_plans_on_old_rows
from tests.user.test_purchases import canceled, confirmed

pytestmark = pytest.mark.django_db(transaction=True)

GROWING = {"user_app_purchase", "messaging_inbox"}


def hot_path() -> None:
    """What is run when orders end."""
    order_ids = [new_id() for _ in range(20)]
    deliver(*[confirmed(order_id) for order_id in order_ids])
    deliver(*[canceled(order_id) for order_id in order_ids[:10]])
    deliver(confirmed(new_id()), singly=True)


def full_batches() -> None:
    """As many orders in one batch as a poll may give."""
    order_ids = [new_id() for _ in range(500)]
    deliver(*[confirmed(order_id) for order_id in order_ids])
    deliver(*[canceled(order_id) for order_id in order_ids])


def test_the_hot_path_of_purchases_has_the_same_plans_over_a_long_past() -> None:
    same_plans_on_old_rows("user", hot_path, GROWING, full_batches)
