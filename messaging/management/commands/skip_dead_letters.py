"""manage.py <service> skip_dead_letters …"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from messaging.audit_log import ActionResult, Target
from messaging.management.base import GroupCommand, actor
from messaging.operations import actions


class Command(GroupCommand):
    help = "Let dead letters, or an event that waits, never be handled; what waits behind them goes on."

    def act(self, events: Sequence[Target], options: dict[str, Any]) -> list[ActionResult]:
        return actions.skip(events, actor=actor(), reason=options["reason"])
