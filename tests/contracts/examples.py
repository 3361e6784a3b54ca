"""One example of every event that is declared, and how it is written down: its golden file.

A golden file is never changed: records of that version stand in logs. A new version gets an example and a file of its
own, and the old file stays, to be read through the upcaster.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from contracts.coupon import CouponClaimRequested, CouponRestored, CouponUsed, CouponUseFailed
from contracts.order import OrderCanceled, OrderConfirmed, OrderCreated, OrderLine
from contracts.product import ProductChanged, StockLine, StockReduced, StockReduceFailed, StockRestored
from contracts.user import UserChanged
from messaging import Event
from messaging.event import spec_of

GOLDEN = Path(__file__).parent / "golden"

ORDER = UUID("0198a1f0-0000-7000-8000-000000000001")
USER = UUID("0198a1f0-0000-7000-8000-000000000002")
TEA = UUID("0198a1f0-0000-7000-8000-000000000003")
CUP = UUID("0198a1f0-0000-7000-8000-000000000004")
COUPON = UUID("0198a1f0-0000-7000-8000-000000000005")
CAMPAIGN = UUID("0198a1f0-0000-7000-8000-000000000006")
CLAIM = UUID("0198a1f0-0000-7000-8000-000000000007")
NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)

LINES = (
    OrderLine(product_id=TEA, quantity=2, unit_price=Decimal("12.50")),
    OrderLine(product_id=CUP, quantity=1, unit_price=Decimal("7.00")),
)
HELD = (StockLine(product_id=TEA, quantity=2), StockLine(product_id=CUP, quantity=1))

EXAMPLES: dict[str, Event] = {
    spec_of(type(example)).type: example
    for example in (
        OrderCreated(
            order_id=ORDER,
            user_id=USER,
            lines=LINES,
            coupon_id=COUPON,
            total=Decimal("32.00"),
            currency="USD",
            created_at=NOON,
        ),
        OrderConfirmed(
            order_id=ORDER,
            user_id=USER,
            lines=LINES,
            total=Decimal("32.00"),
            discount=Decimal("3.20"),
            currency="USD",
        ),
        OrderCanceled(
            order_id=ORDER, user_id=USER, lines=LINES, coupon_id=None, reason="out_of_stock", actor="product"
        ),
        StockReduced(order_id=ORDER, lines=HELD),
        StockReduceFailed(order_id=ORDER, reason="out_of_stock", detail="녹차: 2 wanted, 1 there"),
        StockRestored(order_id=ORDER, restored=True),
        ProductChanged(product_id=TEA, version=3, name="녹차", price=Decimal("12.50"), currency="USD", active=True),
        CouponUsed(order_id=ORDER, coupon_id=COUPON, discount=Decimal("3.20")),
        CouponUseFailed(order_id=ORDER, coupon_id=COUPON, reason="expired"),
        CouponRestored(order_id=ORDER, restored=False),
        CouponClaimRequested(claim_id=CLAIM, campaign_id=CAMPAIGN, user_id=USER),
        UserChanged(user_id=USER, version=2, active=False),
    )
}


def golden_types() -> list[str]:
    """Return the types that have a golden file."""
    return sorted(path.name.removesuffix(".json") for path in GOLDEN.glob("*.json"))


def golden(type_name: str) -> dict[str, Any]:
    """Return a golden file: `topic`, `key`, `headers` and `data`."""
    content: dict[str, Any] = json.loads((GOLDEN / f"{type_name}.json").read_text(encoding="utf-8"))
    return content


def golden_data(type_name: str) -> bytes:
    """Return the value of the golden record as it stands on Kafka."""
    return json.dumps(golden(type_name)["data"], ensure_ascii=False, separators=(",", ":")).encode()
