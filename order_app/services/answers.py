"""Handles the participants' answers. A hot path: no ORM objects, one statement per table and batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from messaging import Delivery
from order_app.domain import Answer, Kind, Step, answers_by_type
from order_app.saga_changes import Changes
from order_app.sql import lock_sagas, storable

UNKNOWN_ORDER = "unknown_order"
#: A reason is one or two words. OrderCanceled repeats it, and must never be too large to publish.
MAX_REASON = 200


def apply_answers(*, deliveries: Sequence[Delivery], now: datetime | None = None) -> list[tuple[Delivery, str]]:
    """Apply the answers to their orders' sagas, in the order given.

    Return the answers for unknown orders, each with its reason: they become dead letters.
    """
    rows = lock_sagas(delivery.event.order_id for delivery in deliveries)
    changes = Changes(now or timezone.now())
    unknown: list[tuple[Delivery, str]] = []
    for delivery, answer in zip(deliveries, _read(deliveries), strict=True):
        row = rows.get(delivery.event.order_id)
        if row is None:
            unknown.append((delivery, UNKNOWN_ORDER))
        else:
            outcome = row.state.on_answer(answer)
            changes.add(row, outcome, actor=answer.step.service, context=delivery.context)
    changes.update()
    return unknown


def _read(deliveries: Sequence[Delivery]) -> list[Answer]:
    kinds = answers_by_type()
    return [_answer(delivery, *kinds[delivery.context.type]) for delivery in deliveries]


def _answer(delivery: Delivery, step: Step, kind: Kind) -> Answer:
    event = delivery.event
    return Answer(
        step=step,
        kind=kind,
        reason=storable(getattr(event, "reason", "")[:MAX_REASON]),
        restored=getattr(event, "restored", False),
        discount=getattr(event, "discount", None),
        attempts=_attempts(delivery.context.headers.get("ce_causeattempts", "1")),
    )


def _attempts(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 1
