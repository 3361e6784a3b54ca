"""Pauses: an operator, or the circuit breaker, pauses a handler or a topic of this service; `resume` ends it.

A paused handler pauses every partition of its topics in this service, since a position cannot pass its events. Parked
keys of these topics wait too.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from messaging.conf import conf
from messaging.errors import Paused, UnknownName
from messaging.registry import all_handlers

_INSERT = """
INSERT INTO messaging_pause (name, reason, actor, at) VALUES (%s, %s, %s, now()) ON CONFLICT (name) DO NOTHING
"""


def paused_topics() -> set[str]:
    """Return the topics whose events are not handled now."""
    paused = names()
    if not paused:
        return set()
    return paused.union(*(handler.topics for handler in all_handlers() if handler.name in paused))


def refuse(topics: Iterable[str]) -> None:
    """Raise Paused when one of these topics is paused."""
    paused = paused_topics().intersection(topics)
    if paused:
        raise Paused(f"paused: {', '.join(sorted(paused))}")


def check_name(name: str) -> None:
    """Raise UnknownName, listing the names, when `name` is no handler and no consumed topic of this service."""
    handlers, topics = known_names()
    if name not in (*handlers, *topics):
        raise UnknownName(
            f"{conf().service} has no handler and no topic {name!r}. Handlers: {', '.join(handlers)}."
            f" Topics: {', '.join(topics)}."
        )


def known_names() -> tuple[list[str], list[str]]:
    """Return what can be paused: the handlers, and the consumed topics."""
    handlers = sorted(handler.name for handler in all_handlers())
    return handlers, sorted({topic for topics in conf().groups.values() for topic in topics})


def insert(name: str, *, reason: str, actor: str) -> bool:
    """Pause a handler or a topic, in the open transaction; False when it is paused already."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [name, reason, actor])
        return bool(cursor.rowcount)


def delete(name: str) -> bool:
    """End a pause, in the open transaction; False when there was none."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM messaging_pause WHERE name = %s", [name])
        return bool(cursor.rowcount)


def names() -> set[str]:
    """Return the handlers and topics that are paused."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM messaging_pause")
        return {name for (name,) in cursor.fetchall()}
