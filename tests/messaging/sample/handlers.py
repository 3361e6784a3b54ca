"""Sample handlers: one in the single form that answers, one in the batch form on the same events."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from django.db import IntegrityError, connection

from messaging import Context, DeadLetter, Delivery, Retry, TransientError, publish, subscribe
from tests.messaging.sample.events import NoteAdded, NoteAnswered
from tests.messaging.sample.models import Applied

#: What a note's behaviour makes the single handler do, after it wrote its row.
behaviours: dict[str, Callable[[NoteAdded, Context], None]] = {}
#: What a note's behaviour makes the batch handler do, after it wrote its rows.
batch_behaviours: dict[str, Callable[[], None]] = {}
#: Every call of the batch handler, as a list of (key, number).
batches: list[list[tuple[str, int]]] = []
#: Attempts of the single handler that were begun, per key and number.
attempts: dict[tuple[str, int], list[int]] = defaultdict(list)


def give_up(event: NoteAdded, context: Context) -> None:
    publish(NoteAnswered(key=event.key, number=event.number, result="exhausted"))


@subscribe(NoteAdded, replay="skip", retries=Retry(immediate=3), on_exhausted=give_up)
def on_note_added(event: NoteAdded, context: Context) -> None:
    attempts[(event.key, event.number)].append(context.attempt)
    Applied.objects.create(key=event.key, number=event.number, handler="single")
    publish(NoteAnswered(key=event.key, number=event.number, result="applied"))
    if event.behaviour in behaviours:
        behaviours[event.behaviour](event, context)


@subscribe(NoteAdded, replay="safe", batch=True)
def on_note_added_batch(deliveries: Sequence[Delivery]) -> Any:
    notes: list[Any] = [delivery.event for delivery in deliveries]
    batches.append([(note.key, note.number) for note in notes])
    Applied.objects.bulk_create(Applied(key=note.key, number=note.number, handler="batch") for note in notes)
    for note in notes:
        if note.behaviour in batch_behaviours:
            batch_behaviours[note.behaviour]()
    return [(delivery, "batch says so") for delivery in deliveries if delivery.event.behaviour == "batch dead"]


def _transient_once(event: NoteAdded, context: Context) -> None:
    if context.attempt == 1:
        raise TransientError("try me again")


def _transient(event: NoteAdded, context: Context) -> None:
    raise TransientError("never works")


def _bug(event: NoteAdded, context: Context) -> None:
    raise ZeroDivisionError("a bug")


def _dead(event: NoteAdded, context: Context) -> None:
    raise DeadLetter("unknown_note", "nobody knows it")


def _slow(event: NoteAdded, context: Context) -> None:
    time.sleep(2)


def cut_the_connection() -> None:
    """End this thread's own database connection, as an outage would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def _statement_timeout(event: NoteAdded, context: Context) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(1)")


def _swallow(event: NoteAdded, context: Context) -> None:
    """Catch an error of the database, as a handler does that takes it for harmless."""
    try:
        Applied.objects.latest("id").save(force_insert=True)
    except IntegrityError:
        return


behaviours["swallow"] = _swallow
behaviours["close"] = lambda event, context: connection.close()
batch_behaviours["swallow"] = lambda: _swallow(NoteAdded(key="", number=0), None)  # type: ignore[arg-type]
batch_behaviours["close"] = connection.close
behaviours["statement timeout"] = _statement_timeout
behaviours["slow"] = _slow
behaviours.update({"transient once": _transient_once, "transient": _transient, "bug": _bug, "dead": _dead})
