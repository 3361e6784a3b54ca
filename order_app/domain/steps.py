"""The saga as one table. To add a step, add a row here, its events, and a handler in the service that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from order_app.domain.drafts import Draft
from order_app.domain.states import Kind


@dataclass(frozen=True)
class Step:
    """One thing that another service does for an order.

    `OrderCreated` requests every step, `OrderCanceled` requests its undo. `succeeds`, `fails` and `undone` are the
    event types of the answers, on `topic`. `skipped_when` says which orders do not need the step.
    """

    name: str
    service: str
    topic: str
    succeeds: str
    fails: str
    undone: str
    skipped_when: Callable[[Draft], bool]

    @property
    def group(self) -> str:
        """The consumer group in which the service reads the requests: it is named after the service."""
        return self.service


def never(draft: Draft) -> bool:
    """Never: every order needs it."""
    return False


def without_coupon(draft: Draft) -> bool:
    """When the order has no coupon."""
    return draft.coupon_id is None


STEPS: tuple[Step, ...] = (
    Step(
        name="stock",
        service="product",
        topic="product.events",
        succeeds="product.StockReduced.v1",
        fails="product.StockReduceFailed.v1",
        undone="product.StockRestored.v1",
        skipped_when=never,
    ),
    Step(
        name="coupon",
        service="coupon",
        topic="coupon.events",
        succeeds="coupon.CouponUsed.v1",
        fails="coupon.CouponUseFailed.v1",
        undone="coupon.CouponRestored.v1",
        skipped_when=without_coupon,
    ),
)


def answers_by_type() -> dict[str, tuple[Step, Kind]]:
    """Return, for each event type that answers a step, the step and what the answer says of it."""
    kinds: dict[str, tuple[Step, Kind]] = {}
    for step in STEPS:
        kinds[step.succeeds] = (step, Kind.SUCCESS)
        kinds[step.fails] = (step, Kind.FAILURE)
        kinds[step.undone] = (step, Kind.RESTORED)
    return kinds


def answer_topics() -> list[str]:
    """Return the topics on which the participants answer, each once, in the order of the table."""
    return list(dict.fromkeys(step.topic for step in STEPS))
