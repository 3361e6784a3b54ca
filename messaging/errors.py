"""One tree of errors. A class's `retryable` says whether the same call may succeed later."""

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
    """The event is larger than the broker accepts; publish less data, or a reference to it."""


class InvalidRecord(MessagingError):
    """A record cannot be decoded: a header is missing, or the data does not fit the schema; `reason` is a code."""

    def __init__(self, message: str, *, reason: str = "undecodable") -> None:
        super().__init__(message)
        self.reason = reason


class TransientError(MessagingError):
    """A handler raises it when a retry may succeed."""

    retryable = True


class DeadLetter(MessagingError):
    """A handler raises it for an event that can never be handled; the event becomes a dead letter with `reason`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class ConnectionLost(MessagingError):
    """The database connection was lost inside a handler, which raised another error: not the event's fault."""

    retryable = True


class SlowAttempt(MessagingError):
    """The database connection was lost during an attempt that took too long: the attempt counts."""

    retryable = True

    def __init__(self, handler: str, attempts: int) -> None:
        super().__init__(f"{handler}: the connection was lost in attempt {attempts}, which took too long")
        self.handler = handler
        self.attempts = attempts


class AttemptCutOff(MessagingError):
    """A hurried attempt at a parked event waited, so it was cut off; it does not count."""

    retryable = True

    def __init__(self, handler: str) -> None:
        super().__init__(f"{handler} waited for a lock or a slow statement; it is retried with more time")


class SwallowedDatabaseError(MessagingError):
    """A handler caught a database error outside a savepoint: its transaction can only be rolled back."""

    def __init__(self, handler: str) -> None:
        super().__init__(
            f"{handler} caught a database error and continued, so its effect would be rolled back silently. Let the"
            " error pass, or open transaction.atomic() around the statement inside the try block"
        )


class ConnectionClosed(SlowAttempt):
    """A handler closed the database connection, and with it lost its transaction: the attempt counts."""

    def __init__(self, handler: str, attempts: int) -> None:
        MessagingError.__init__(
            self, f"{handler} closed the database connection in attempt {attempts}: remove that call"
        )
        self.handler = handler
        self.attempts = attempts


class LostAgain(SlowAttempt):
    """The database connection is lost at this event again and again, while the database works: the attempt counts."""

    def __init__(self, handler: str, attempts: int) -> None:
        MessagingError.__init__(
            self, f"{handler}: attempt {attempts} lost the database connection, again and again; the database works"
        )
        self.handler = handler
        self.attempts = attempts


class Paused(MessagingError):
    """An operator, or the circuit breaker, has paused a handler or a topic."""

    retryable = True


class PositionMoved(MessagingError):
    """The partition's position differs from the start of the batch: another worker has moved it."""

    retryable = True


class PartitionStopped(MessagingError):
    """A partition cannot continue without an operator; the message says why."""


class UnknownName(MessagingError):
    """There is no handler or topic of that name in this service."""


class Refused(MessagingError):
    """The action is not possible for this event; the message says why, and what is."""


class RangeRefused(MessagingError):
    """Offsets of a topic cannot be replayed, or moved to, as requested; `exit_code` gives scripts the reason."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RepartitionRefused(MessagingError):
    """Partitions cannot be added now; the message says why, and what was done so far."""
