"""manage.py <service> skip_dead_letters …"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from messaging import operators
from messaging.ledger import Result, Target
from messaging.management.operating import GroupCommand, actor


class Command(GroupCommand):
    help = "Let dead letters, or an event that waits, never be handled; what waits behind them goes on."

    def act(self, events: Sequence[Target], options: dict[str, Any]) -> list[Result]:
        return operators.skip(events, actor=actor(), reason=options["reason"])
