"""Sample handlers: one in the single form that answers, one in the batch form on the same events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.db import connection

from messaging import Context, DeadLetter, Delivery, Retry, TransientError, publish, subscribe
from tests.messaging.sample.events import NoteAdded, NoteAnswered, NoteClaimed
from tests.messaging.sample.models import Applied

#: What a note's behaviour makes the single handler do, after it wrote its row.
behaviours: dict[str, Callable[[NoteAdded, Context], None]] = {}
#: Every call of the batch handler, as a list of (key, number).
batches: list[list[tuple[str, int]]] = []
#: Attempts seen per (key, number).
attempts: dict[tuple[str, int], int] = {}


def give_up(event: NoteAdded, context: Context) -> None:
    publish(NoteAnswered(key=event.key, number=event.number, result="exhausted"))


@subscribe(NoteAdded, replay="skip", retries=Retry(immediate=3), on_exhausted=give_up)
def on_note_added(event: NoteAdded, context: Context) -> None:
    Applied.objects.create(key=event.key, number=event.number, handler="single")
    publish(NoteAnswered(key=event.key, number=event.number, result="applied"))
    attempts[(event.key, event.number)] = context.attempt
    behaviours.get(event.behaviour, _nothing)(event, context)


def _nothing(event: NoteAdded, context: Context) -> None:
    return


@subscribe(NoteAdded, replay="safe", batch=True)
def on_note_added_batch(deliveries: Sequence[Delivery]) -> Any:
    notes = [delivery.event for delivery in deliveries]
    batches.append([(note.key, note.number) for note in notes])
    Applied.objects.bulk_create(Applied(key=note.key, number=note.number, handler="batch") for note in notes)
    if any(note.behaviour == "batch bug" for note in notes):
        raise ZeroDivisionError("a bug in the batch handler, which has no failure answer")


@subscribe(NoteClaimed, replay="skip", group=f"{settings.SAMPLE_GROUP}-claims")
def on_note_claimed(event: NoteClaimed, context: Context) -> None:
    Applied.objects.create(key=event.key, number=event.number, handler="claims")


def _transient_once(event: NoteAdded, context: Context) -> None:
    if context.attempt == 1:
        raise TransientError("try me again")


def _bug(event: NoteAdded, context: Context) -> None:
    raise ZeroDivisionError("a bug")


def _dead(event: NoteAdded, context: Context) -> None:
    raise DeadLetter("unknown_note", "nobody knows it")


def _outage(event: NoteAdded, context: Context) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


behaviours.update({"transient once": _transient_once, "bug": _bug, "dead": _dead, "outage": _outage})
