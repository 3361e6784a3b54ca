"""One tree of errors. `retryable` on a class says whether the same call may succeed later."""

from __future__ import annotations


class MessagingError(Exception):
    """Base of all errors of this library."""

    retryable = False


class TransactionRequired(MessagingError):
    """publish() was called outside a transaction; open one with transaction.atomic() around the state change."""


class EventTooLarge(MessagingError):
    """The event is larger than the broker takes; publish less data, or an address of it."""


class InvalidRecord(MessagingError):
    """A record can't be read: a header is missing, or the data does not fit the event's schema."""


class TransientError(MessagingError):
    """Raised by a handler for something that may work when it is tried again."""

    retryable = True


class DeadLetter(MessagingError):
    """Raised by a handler for an event that can never be handled; it is kept in the dead-letter table with `reason`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class ConnectionLost(MessagingError):
    """The database connection was lost inside a handler, which raised something else: not the event's fault."""

    retryable = True


class PositionMoved(MessagingError):
    """The partition's position is not the one that the batch was fetched from: another worker has gone on."""

    retryable = True


class PartitionStopped(MessagingError):
    """A partition can't go on without an operator; the message says why."""


class ReplayRefused(MessagingError):
    """A replay can't run as asked; `exit_code` tells a script why, and the message tells a person."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RepartitionRefused(MessagingError):
    """Partitions can't be added now; the message says why, and what was done so far."""
