"""manage.py <service> skip_dead_letters …"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from messaging.audit_log import ActionResult, Target
from messaging.management.base import GroupCommand, actor
from messaging.operations import actions


class Command(GroupCommand):
    help = (
        "Skip dead letters, or an event that waits: the handler never handles them. What waits behind them continues."
    )

    def act(self, events: Sequence[Target], options: dict[str, Any]) -> list[ActionResult]:
        return actions.skip(events, actor=actor(), reason=options["reason"])
