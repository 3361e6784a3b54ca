"""One tree of errors. `retryable` on a class says whether the same call may succeed later."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the operators' commands; 0 is success, 1 an unforeseen error, 2 a wrong call."""

    UNKNOWN_TOPIC = 3
    UNKNOWN_PARTITION = 4
    NOTHING_FOUND = 5
    NO_ZONE = 6
    BEFORE_LOG_START = 7
    NO_REASON = 8
    UNKNOWN_NAME = 9
    BUSY = 10
    INCOMPLETE = 11
    REFUSED = 12
    UNREADABLE_FILE = 13
    OUTSIDE_LOG = 14
    GROUP_ACTIVE = 15


class MessagingError(Exception):
    """Base of all errors of this library."""

    retryable = False


class TransactionRequired(MessagingError):
    """publish() was called outside a transaction; open one with transaction.atomic() around the state change."""


class EventTooLarge(MessagingError):
    """The event is larger than the broker takes; publish less data, or an address of it."""


class InvalidRecord(MessagingError):
    """A record can't be read: a header is missing, or the data does not fit the event's schema; `reason` is a code."""

    def __init__(self, message: str, *, reason: str = "undecodable") -> None:
        super().__init__(message)
        self.reason = reason


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


class SlowAttempt(MessagingError):
    """The database connection was lost during an attempt that took longer than it may: the attempt counts."""

    retryable = True

    def __init__(self, handler: str, attempts: int) -> None:
        super().__init__(f"{handler}: the connection was lost in attempt {attempts}, which took longer than it may")
        self.handler = handler
        self.attempts = attempts


class Paused(MessagingError):
    """An operator, or the fuse, has paused a handler or a topic."""

    retryable = True


class PositionMoved(MessagingError):
    """The partition's position is not the one that the batch was fetched from: another worker has gone on."""

    retryable = True


class PartitionStopped(MessagingError):
    """A partition can't go on without an operator; the message says why."""


class UnknownName(MessagingError):
    """There is no handler or topic of that name in this service."""


class Refused(MessagingError):
    """This can't be done to this event; the message says why, and what can."""


class RangeRefused(MessagingError):
    """Offsets of a topic can't be replayed, or moved to, as asked; `exit_code` tells a script why, the text people."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RepartitionRefused(MessagingError):
    """Partitions can't be added now; the message says why, and what was done so far."""
