"""What the coupon service's tests begin with, and what they look at afterwards."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from contracts.coupon import CouponClaimRequested
from contracts.order import OrderCanceled, OrderCreated, OrderLine
from coupon_app import services
from coupon_app.campaigns import Grant, Terms
from coupon_app.models import Campaign, Claim, Coupon
from messaging import Context, Delivery, Event
from messaging.models import OutboxRow

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
USER = UUID("11111111-1111-7111-8111-111111111111")

_offsets = itertools.count()


def terms(**changes: Any) -> Terms:
    """Return terms that every order of these tests fulfils: 10 percent, any currency, valid a day around NOW."""
    day = timedelta(days=1)
    usual = Terms("percent", Decimal(10), None, Decimal(0), NOW - day, NOW + day)
    return usual._replace(**changes)


def a_campaign(*, quantity: int = 1000, per_user_limit: int = 1000, **changes: Any) -> Campaign:
    """Create a campaign."""
    return services.create_campaign(
        name="Spring", terms=terms(**changes), quantity=quantity, per_user_limit=per_user_limit
    )


def valid_now() -> Campaign:
    """Create a campaign that is valid by the clock."""
    return a_campaign(valid_until=datetime.now(UTC) + timedelta(days=1))


def a_coupon(campaign: Campaign | None = None, *, user_id: UUID = USER) -> Coupon:
    """Grant a coupon."""
    campaign = campaign or a_campaign()
    grant = Grant(uuid4(), campaign.id, user_id, granted_by="staff", reason="")
    with transaction.atomic():
        return services.grant_coupon(grant=grant, now=NOW)


def created(coupon_id: UUID | None, *, order_id: UUID | None = None, **changes: Any) -> OrderCreated:
    """Return an OrderCreated of 10,000 KRW by USER at NOW."""
    line = OrderLine(product_id=uuid4(), quantity=1, unit_price=Decimal(10_000))
    usual = {"user_id": USER, "lines": (line,), "total": Decimal(10_000), "currency": "KRW", "created_at": NOW}
    return OrderCreated(order_id=order_id or uuid4(), coupon_id=coupon_id, **{**usual, **changes})


def canceled(order: OrderCreated) -> OrderCanceled:
    """Return the OrderCanceled of an order."""
    ids = {"order_id": order.order_id, "user_id": order.user_id, "coupon_id": order.coupon_id}
    return OrderCanceled(**ids, lines=order.lines, reason="out_of_stock", actor="saga")


def a_claim(campaign: Campaign, *, user_id: UUID | None = None, at: datetime = NOW) -> CouponClaimRequested:
    """Make a claim; return its event."""
    user_id = user_id or uuid4()
    claim = Claim.objects.create(campaign=campaign, user_id=user_id, requested_at=at)
    return CouponClaimRequested(claim_id=claim.id, campaign_id=campaign.id, user_id=user_id)


def delivery(event: Event) -> Delivery:
    """Return the event as a consumer would hand it over."""
    key = str(getattr(event, "order_id", None) or getattr(event, "campaign_id", None) or event.user_id)
    place = {"topic": "t", "partition": 0, "offset": next(_offsets), "key": key}
    times = {"occurred_at": NOW, "received_at": NOW}
    rest = {"correlation_id": key, "causation_id": None, "attempt": 1, "headers": {}, "data": b"{}"}
    return Delivery(event, Context(event_id=str(uuid4()), type=type(event).__name__, **place, **times, **rest))


def deliveries(events: Iterable[Event]) -> list[Delivery]:
    """Return several events as one batch, in the order given."""
    return [delivery(event) for event in events]


def handle(*events: Event) -> None:
    """Let the service answer the order events, in one batch and transaction."""
    with transaction.atomic():
        services.answer_orders(deliveries=deliveries(events), now=NOW)


def exhaust(order: OrderCreated) -> None:
    """Let the service answer an OrderCreated whose attempts are used up."""
    one = delivery(order)
    with transaction.atomic():
        services.refuse_exhausted(event=order, context=one.context, now=NOW)


def decide(events: Sequence[Event]) -> list[tuple[Delivery, str]]:
    """Let the service decide the claims, in one batch and transaction."""
    with transaction.atomic():
        return services.decide_claims(deliveries=deliveries(events), now=NOW)


def answers(order_id: UUID) -> list[tuple[str, dict[str, Any]]]:
    """Return what was published about an order, in order: (name of the event, its data without the order id)."""
    rows = OutboxRow.objects.filter(key=str(order_id), topic="coupon.events").order_by("id")
    events = [(row.type.split(".")[1], json.loads(bytes(row.data))) for row in rows]
    return [(name, {key: value for key, value in data.items() if key != "order_id"}) for name, data in events]


def words(order_id: UUID) -> list[str]:
    """Return the answers about an order, a word for each: used, the reason of a failure, restored, nothing restored."""
    return [_word(name, data) for name, data in answers(order_id)]


def _word(name: str, data: dict[str, Any]) -> str:
    if name == "CouponRestored":
        return "restored" if data["restored"] else "nothing restored"
    return "used" if name == "CouponUsed" else data["reason"]
