"""Where an event came from, as its handler sees it, and what caused an event."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from messaging.event import Event


class Cause(Protocol):
    """What publish() needs of the event that led to another one.

    A Context is a cause. A caller that has no Context (a timer that sends a request again) gives any object with these.
    """

    @property
    def event_id(self) -> str:
        """The id of the event that led to the new one."""

    @property
    def correlation_id(self) -> str:
        """What ties the events of one saga together; the new event has it too."""


@dataclass(frozen=True, slots=True)
class Context:
    """One record's place and headers. Times are aware UTC; `attempt` counts from 1; `data` is the raw JSON value."""

    event_id: str
    type: str
    topic: str
    partition: int
    offset: int
    key: str
    occurred_at: datetime
    received_at: datetime
    correlation_id: str
    causation_id: str | None
    attempt: int
    headers: Mapping[str, str]
    data: bytes


class Delivery(NamedTuple):
    """An event and where it came from."""

    event: Event
    context: Context


#: The context of the event that a single-form handler is handling: the cause of what it publishes.
current_context: ContextVar[Context | None] = ContextVar("messaging_current_context", default=None)
