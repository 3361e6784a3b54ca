"""The reason codes that a participant may give are those that its contract tells of."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from contracts.coupon import CouponUseFailed
from contracts.product import StockReduceFailed
from coupon_app.domain import Reason as CouponReason
from messaging import Event
from product_app.domain import Reason as StockReason


@pytest.mark.parametrize(
    ("event", "reasons"), [(StockReduceFailed, StockReason), (CouponUseFailed, CouponReason)], ids=["stock", "coupon"]
)
def test_a_contract_lists_every_reason_and_no_other(event: type[Event], reasons: type[StrEnum]) -> None:
    documented = re.search(r"`reason`: (.*?)[;.]", event.__doc__ or "", re.S)

    assert documented
    assert set(re.findall(r"[a-z_]{3,}", documented[1])) == {str(reason) for reason in reasons}
