"""Operators at work on the sample service: what they act on, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.conf import settings as django_settings
from django.db import connection, connections

from messaging import Result, TransientError
from messaging.consumer.retry_parked import retry_due
from messaging.models import InboxRow, ParkedKey
from tests.messaging.records import Record, record_of
from tests.messaging.sample.events import NoteAdded
from tests.messaging.waiting import eventually

WHO = {"actor": "kim", "reason": "a test"}
SINGLE = "tests.on_note_added"
BATCH = "tests.on_note_added_batch"
NOBODY = "-"


class Switch:
    """A behaviour of the sample's handlers that fails while it is on."""

    def __init__(self, error: Exception) -> None:
        self.on, self.error = True, error

    def __call__(self, *_: Any) -> None:
        if self.on:
            raise self.error


def transient() -> Switch:
    """Return a failure that may go away by itself."""
    return Switch(TransientError("not yet"))


def with_patient_retries(settings: Any) -> None:
    """Let the timer come so late that only an operator can be what tries again."""
    settings.MESSAGING = {**settings.MESSAGING, "RETRY_DELAYED": 8, "RETRY_PAUSE_SECONDS": 1000.0}
    settings.MESSAGING["RETRY_PAUSE_CAP_SECONDS"] = 1000.0


def note(key: str, number: int, behaviour: str = "", **changes: Any) -> Record:
    return record_of(NoteAdded(key=key, number=number, behaviour=behaviour), **changes)


def broken(record: Record, value: bytes | None = b"not JSON") -> Record:
    """Return the record with a value that nobody can read."""
    return replace(record, value=value)


def of_type(record: Record, kind: bytes) -> Record:
    """Return the record with another type."""
    headers = [(name, kind if name == "ce_type" else value) for name, value in record.headers]
    return replace(record, headers=headers)


def undecodable(key: str) -> tuple[str, str]:
    """Return the target of the record of a key that could not be read."""
    row = InboxRow.objects.get(key=key, handler=NOBODY)
    return row.target


def drain() -> None:
    """Run the timer's work until nothing is due."""
    while retry_due():
        continue


def goes_on(key: str) -> bool:
    """Whether the key is on the live path again, with no record kept."""
    place = {"topic": django_settings.SAMPLE_TOPIC, "key": key}
    queued = InboxRow.objects.filter(**place, raw__isnull=False)
    return not ParkedKey.objects.filter(**place).exists() and not queued.exists()


def outcomes(results: list[Result]) -> list[str]:
    return [result.outcome for result in results]


@contextmanager
def in_the_background() -> Iterator[Callable[..., Future[Any]]]:
    """Give a function that starts another one in a thread of its own, with a connection of its own."""

    def run(function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        try:
            return function(*arguments, **more)
        finally:
            connections.close_all()

    with ThreadPoolExecutor() as pool:
        yield lambda function, *arguments, **more: pool.submit(run, function, *arguments, **more)


def wait_for_blocked(count: int = 1) -> None:
    """Wait until so many other connections wait for a lock."""
    eventually(lambda: _blocked() >= count)


def _blocked() -> int:
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        return int(cursor.fetchone()[0])


#: pg_stat_activity would show the same all through a transaction; a wait for a row names no database.
_WAITING = """
SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (
       SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE datname = current_database())
"""
