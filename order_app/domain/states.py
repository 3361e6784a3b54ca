"""The states of an order, its saga and the saga's steps, and what can happen to them."""

from __future__ import annotations

from enum import StrEnum


class OrderStatus(StrEnum):
    """What the customer sees. While PENDING, nothing but a cancel is accepted (a semantic lock)."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELED = "CANCELED"


class SagaStatus(StrEnum):
    """How far the coordination is. COMPENSATED: every participant has answered that it holds nothing."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    COMPENSATING = "COMPENSATING"
    COMPENSATED = "COMPENSATED"
    STUCK = "COMPENSATION_STUCK"
    BY_HAND = "BY_HAND"


class StepStatus(StrEnum):
    """How far one step is. FAILED is passed through within one transaction, on the way to UNDOING."""

    PENDING = "PENDING"
    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"
    WAIVED = "WAIVED"


class Publication(StrEnum):
    """What the coordinator publishes, by event type. CREATED asks for every step, CANCELED asks to undo it."""

    CREATED = "order.OrderCreated.v1"
    CONFIRMED = "order.OrderConfirmed.v1"
    CANCELED = "order.OrderCanceled.v1"


class Kind(StrEnum):
    """What a participant's answer says."""

    SUCCESS = "success"
    FAILURE = "failure"
    RESTORED = "restored"


class Command(StrEnum):
    """What people and timers ask of a saga."""

    CANCEL = "cancel"
    DEADLINE = "deadline"
    BUDGET_SPENT = "undo budget spent"
    UNDO_AGAIN = "undo again"
    REQUEST_AGAIN = "request again"
    RESOLVE = "resolve by hand"
