"""Classifies an exception by type and SQLSTATE: the one table that decides what happens next.

Deadlocks, timeouts and a full disk are all Django's OperationalError; only the SQLSTATE distinguishes them
(PostgreSQL's appendix A).
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from kafka.errors import KafkaError

from messaging.errors import ConnectionClosed, ConnectionLost, Paused, PositionMoved, SlowAttempt, TransientError

#: Longest traceback that is kept, from its end.
MAX_TRACEBACK = 10_000


@dataclass(frozen=True, slots=True)
class Failure:
    """What is kept of an exception. Equal fingerprints are the same failure."""

    fingerprint: str = ""
    error: str = ""
    traceback: str = ""


def failure_of(error: BaseException) -> Failure:
    """Return what is kept of `error`."""
    return Failure(fingerprint(error), described(error), "".join(traceback.format_exception(error))[-MAX_TRACEBACK:])


def described(error: object) -> str:
    """Return repr(error), also where that raises: the exceptions of handlers are not ours."""
    try:
        return repr(error)
    except Exception as second:
        return f"<{type(error).__name__}, whose repr() raised {type(second).__name__}>"


class Kind(Enum):
    """OUTAGE: wait, and count no attempt. MOVED: another worker, or an operator, was faster. TRANSIENT: retry.

    BUG: anything else.
    """

    OUTAGE = "outage"
    MOVED = "moved"
    TRANSIENT = "transient"
    BUG = "bug"


#: A slow statement, or a database that hangs: messaging.database.takes_writes() decides which.
STATEMENT_TIMEOUT = "57014"
LOCK_TIMEOUT = "55P03"
DISK_FULL = "53100"

#: Two transactions that conflict, or a wait that took too long: the same work may succeed immediately.
TRANSIENT_STATES = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    LOCK_TIMEOUT: "lock timeout",
    STATEMENT_TIMEOUT: "statement timeout",
}

#: The database cannot work: class 08 (connection), 53 (resources), 57P (shutdown), 58 (system).
OUTAGE_CLASSES = ("08", "53", "57P", "58")
OUTAGE_STATES = {
    "25P03": "idle in transaction timeout",
    "25P04": "transaction timeout",
    "25006": "read-only transaction: a standby, or a failover under way",
}


def kind_of(error: BaseException, retry_on: tuple[type[Exception], ...] = ()) -> Kind:
    """Classify `error`; `retry_on` are further exceptions that a handler declared as worth a retry."""
    if isinstance(error, (PositionMoved, Paused)):
        return Kind.MOVED
    if isinstance(error, TransientError) or (retry_on and isinstance(error, retry_on)):
        return Kind.TRANSIENT
    if isinstance(error, ConnectionClosed):
        return Kind.BUG
    if isinstance(error, (InterfaceError, ConnectionLost, SlowAttempt, KafkaError)):
        return Kind.OUTAGE
    if isinstance(error, DatabaseError):
        return _kind_of_database_error(error)
    return Kind.BUG


def _kind_of_database_error(error: BaseException) -> Kind:
    state = sqlstate(error)
    if state in TRANSIENT_STATES:
        return Kind.TRANSIENT
    if state.startswith(OUTAGE_CLASSES) or state in OUTAGE_STATES:
        return Kind.OUTAGE
    if isinstance(error, OperationalError) and not state:
        return Kind.OUTAGE
    return Kind.BUG


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of the error, or '' when the connection was lost before PostgreSQL sent one."""
    while error is not None:
        code = getattr(error, "pgcode", None)
        if code:
            return str(code)
        if error.__cause__ is None:
            return ""
        error = error.__cause__
    return ""


def fingerprint(error: BaseException) -> str:
    """Return the exception's type and the innermost frame of our code: equal failures have equal fingerprints."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    if not frames:
        return type(error).__name__
    frame = frames[-1]
    return f"{type(error).__name__} at {Path(frame.filename).parent.name}/{Path(frame.filename).name}:{frame.name}"
