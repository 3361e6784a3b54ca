"""The circuit breaker's pauses: an alarm on the lists, and its name where a page shows an actor."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.models import Pause
from messaging.parking.circuit_breaker import ACTOR


def pauses_by_circuit_breaker() -> dict[str, Any]:
    """Return the alarms for a list, as its template takes them."""
    return {"alarms": Pause.objects.filter(actor=ACTOR)}


def is_circuit_breaker(actor: str) -> bool:
    """Whether the circuit breaker did it, not an operator."""
    return actor == ACTOR


def name_of(actor: str) -> Any:
    """Return who it was, for people."""
    return _("circuit breaker") if is_circuit_breaker(actor) else actor
