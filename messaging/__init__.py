"""Events between services that each own their database: outbox, relay, inbox, consumer, replay. Knows no service.

The names below are the public interface; everything else is internal.
"""

from messaging.context import Context, Delivery
from messaging.errors import (
    DeadLetter,
    EventTooLarge,
    InvalidRecord,
    MessagingError,
    PartitionStopped,
    TransactionRequired,
    TransientError,
)
from messaging.event import Event, event, upcaster
from messaging.ids import new_id
from messaging.inbox import parked_events, unhandled
from messaging.offsets import end_offsets, positions_passed
from messaging.outbox import outbox_pending, publish, publish_all
from messaging.registry import Retry, subscribe
from messaging.signals import event_recorded

__all__ = [
    # Events
    "Event",
    "event",
    "upcaster",
    "new_id",
    # Publishing
    "publish",
    "publish_all",
    "event_recorded",
    "outbox_pending",
    # Handling
    "subscribe",
    "Retry",
    "Context",
    "Delivery",
    # Progress
    "end_offsets",
    "positions_passed",
    "unhandled",
    "parked_events",
    # Errors
    "MessagingError",
    "TransientError",
    "DeadLetter",
    "TransactionRequired",
    "EventTooLarge",
    "InvalidRecord",
    "PartitionStopped",
]
