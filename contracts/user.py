"""What the user service publishes, on `user.events`, keyed by user id."""

from __future__ import annotations

from uuid import UUID

from contracts.values import Version
from messaging.event import Event, event

TOPIC = "user.events"


@event("user.UserChanged.v1", topic=TOPIC, key="user_id")
class UserChanged(Event, frozen=True, kw_only=True):
    """A user as it is now, without personal data.

    `version` grows with every change: an older one never overwrites a newer one.
    """

    user_id: UUID
    version: Version
    active: bool
