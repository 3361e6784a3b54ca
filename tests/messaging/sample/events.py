"""The sample's events."""

from __future__ import annotations

from django.conf import settings

from messaging import Event, event


@event("sample.NoteAdded.v1", topic=settings.SAMPLE_TOPIC, key="key")
class NoteAdded(Event):
    """A numbered note. `behaviour` tells the sample handler what to do: see handlers.py."""

    key: str
    number: int
    behaviour: str = ""


@event("sample.NoteAnswered.v1", topic=settings.SAMPLE_TOPIC, key="key")
class NoteAnswered(Event):
    """The answer to a note: `result` is applied or exhausted."""

    key: str
    number: int
    result: str


@event("sample.NoteClaimed.v1", topic=settings.SAMPLE_UNORDERED, key="key")
class NoteClaimed(Event):
    """A record of a topic whose log alone defines the order."""

    key: str
    number: int
