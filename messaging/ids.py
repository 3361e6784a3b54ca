"""Identifiers that this system makes, and how it writes those of others."""

from __future__ import annotations

import re
from uuid import UUID

from uuid_utils.compat import uuid7

#: The length of a UUID's canonical text (RFC 9562): lower-case digits in five groups.
CANONICAL = 36
#: The same value in other spellings: upper-case digits, in braces, or as a URN.
_SPELLED = re.compile(r"(?:urn:uuid:)?(\{)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?(1)\})", re.IGNORECASE)
#: Without groups it is a UUID only where one is expected: a digest may look the same.
_BARE = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


def new_id() -> UUID:
    """Return a new UUID of version 7 (RFC 9562): ordered by time, so that indexes grow at their end."""
    return uuid7()


def canonical_key(text: str, *, bare: bool = False) -> str:
    """Return a key that is a UUID in its canonical spelling, and any other key as it is.

    `bare`: 32 digits without groups are a UUID too.
    """
    if len(text) == CANONICAL and text == text.lower():
        return text
    if found := _SPELLED.fullmatch(text):
        return found[2].lower()
    return str(UUID(text)) if bare and _BARE.fullmatch(text) else text


def spellings(key: str) -> list[str]:
    """Return how a key that somebody typed may stand in a table: as it is, canonical, and as older releases kept it."""
    canonical = canonical_key(key, bare=True)
    is_uuid = len(canonical) == CANONICAL and _SPELLED.fullmatch(canonical)
    return list(dict.fromkeys([key, canonical, canonical.upper()] if is_uuid else [key]))
