"""Identifiers that this system makes."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a new UUID of version 7 (RFC 9562): ordered by time, so that indexes grow at their end."""
    return uuid7()
