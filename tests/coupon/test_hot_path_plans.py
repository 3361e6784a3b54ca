"""A long past changes no plan: coupons are used, refused, given back and claimed by the same indexes."""

from __future__ import annotations

import pytest

from messaging.testing import deliver, forget_published
from tests.coupon.given import a_campaign, a_claim, a_coupon, canceled, created
from tests.plans import same_plans_on_old_rows

pytestmark = pytest.mark.django_db(transaction=True)

GROWING = {"coupon_app_coupon", "coupon_app_coupondecision", "messaging_inbox"}


def hot_path() -> None:
    """Everything that is run for orders and claims."""
    campaign = a_campaign()
    orders = [created(a_coupon(campaign).id) for _ in range(20)]
    deliver(*orders)
    deliver(created(orders[0].coupon_id), *orders)
    deliver(*[canceled(order) for order in orders[:10]], canceled(created(orders[0].coupon_id)))
    deliver(created(a_coupon(campaign).id), singly=True)
    deliver(*[a_claim(campaign) for _ in range(20)], group="coupon-claims")
    forget_published()


def full_batches() -> None:
    """As many orders in one batch as a poll may give."""
    campaign = a_campaign()
    orders = [created(a_coupon(campaign).id) for _ in range(300)]
    deliver(*orders)
    deliver(*[canceled(order) for order in orders])


def test_the_hot_path_of_coupons_has_the_same_plans_over_a_long_past() -> None:
    same_plans_on_old_rows("coupon", hot_path, GROWING, full_batches)
