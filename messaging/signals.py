"""The signal of recorded events."""

from django.dispatch import Signal

#: Sent inside the transaction, once per INSERT, with `envelopes`: the list of recorded events.
#: messaging's own receiver wakes the relay after the commit; other receivers may listen, and must not publish.
event_recorded = Signal()
