"""Events between services that each own their database: outbox, relay, inbox, consumer, replay. Knows no service.

The names below are the public interface; everything else is internal.
"""

from messaging.audit_log import ActionResult as Result
from messaging.audit_log import ReasonMissing, record_action
from messaging.context import Context, Delivery
from messaging.errors import (
    DeadLetter,
    EventTooLarge,
    InvalidRecord,
    MessagingError,
    PartitionStopped,
    TransactionRequired,
    TransientError,
    UnknownName,
)
from messaging.event import Event, event, upcaster
from messaging.ids import new_id
from messaging.inbox.group_members import ask_readings, foreign_members
from messaging.inbox.positions import positions_of
from messaging.inbox.rows import parked_events, unhandled, unhandled_keys
from messaging.kafka.members import Reading
from messaging.kafka.offsets import end_offsets, positions_passed
from messaging.operations.actions import edit_and_retry, pause, resume, retry, skip
from messaging.operations.selectors import dead_letters, parked_keys, queue_of
from messaging.outbox.publish import outbox_pending, outbox_refusal, pending_keys, publish, publish_all
from messaging.registry import Retry, subscribe
from messaging.retention.cleanup import Expiring, delete_expired
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
    "outbox_refusal",
    "pending_keys",
    # Handling
    "subscribe",
    "Retry",
    "Context",
    "Delivery",
    # Progress
    "end_offsets",
    "positions_passed",
    "positions_of",
    "unhandled",
    "unhandled_keys",
    "parked_events",
    "Reading",
    "ask_readings",
    "foreign_members",
    # Cleaning up
    "Expiring",
    "delete_expired",
    # Operating
    "dead_letters",
    "parked_keys",
    "queue_of",
    "retry",
    "edit_and_retry",
    "skip",
    "pause",
    "resume",
    "Result",
    "record_action",
    # Errors
    "MessagingError",
    "TransientError",
    "DeadLetter",
    "TransactionRequired",
    "EventTooLarge",
    "InvalidRecord",
    "PartitionStopped",
    "ReasonMissing",
    "UnknownName",
]
