"""The signal that tells of recorded events."""

from django.dispatch import Signal

#: Sent inside the transaction, once per INSERT, with `envelopes`: the list of what was recorded.
#: Its own receiver wakes the relay after the commit; others may listen too, and must not publish.
event_recorded = Signal()
