"""A position that does not belong to its topic's log: the topic was made again, or the log has lost its end.

Continuing there would pass new events without handling them. So the partition stops, and stays stopped when the log
grows past the position, until `reset_consumer_offsets` moves it. See `docs/explanation/batch.md`.
"""

from __future__ import annotations

from uuid import UUID

from messaging.inbox.positions import Stored

#: What the operators do about a partition without a usable position.
MOVE_GROUP = "Stop the workers and run reset_consumer_offsets (docs/howto/move-a-group.md)"


def reason(row: Stored, topic_id: UUID | None, begin: int, end: int) -> str | None:
    """Return why a position is not in the log that has the offsets from `begin` up to before `end`, or None."""
    if row.outside:
        return row.outside
    if is_another(row.topic_id, topic_id):
        return made_again(row.next_offset)
    if not begin <= row.next_offset <= end:
        return f"the position {row.next_offset} is outside the log, which has offsets {begin} to {end}. {MOVE_GROUP}"
    return None


def is_another(known: UUID | None, now: UUID | None) -> bool:
    """Return whether both ids of a topic are known, and differ."""
    return None not in (known, now) and known != now


def made_again(at: int) -> str:
    """Say that the topic was deleted and made again under its name."""
    return f"the position {at} is of another log: the topic was deleted and made again under its name. {MOVE_GROUP}"


def cut(at: int, since: int | None) -> str:
    """Say that the broker has other records before the position than those that were handled."""
    where = "it no longer knows where they begin" if since is None else f"since offset {since}"
    return (
        f"the position {at} is of another log: the broker lost records that were handled, and may have others in their"
        f" place ({where}). {MOVE_GROUP}"
    )


def not_there(at: int) -> str:
    """Say that the broker refused to read there."""
    return f"the position {at} is outside the log. {MOVE_GROUP}"
