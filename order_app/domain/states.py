"""The states of an order, its saga and the saga's steps, and what can happen to them."""

from __future__ import annotations

from enum import StrEnum


class OrderStatus(StrEnum):
    """The status that the customer sees. A PENDING order accepts only a cancel (a semantic lock)."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELED = "CANCELED"


class SagaStatus(StrEnum):
    """The progress of the coordination. COMPENSATED: every participant has answered that it holds nothing."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    COMPENSATING = "COMPENSATING"
    COMPENSATED = "COMPENSATED"
    STUCK = "COMPENSATION_STUCK"
    BY_HAND = "BY_HAND"


class StepStatus(StrEnum):
    """The progress of one step. FAILED lasts only within one transaction; then the step is UNDOING."""

    PENDING = "PENDING"
    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"
    WAIVED = "WAIVED"


class Publication(StrEnum):
    """What the coordinator publishes, by event type. CREATED requests every step, CANCELED requests every undo."""

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
