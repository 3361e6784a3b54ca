"""manage.py <service> replay_dead_letters …"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from messaging.audit_log import ActionResult, Target
from messaging.management.base import GroupCommand, actor
from messaging.operations import actions


class Command(GroupCommand):
    help = "Retry dead letters, or an event that waits, in the order of their keys; attempts start again at zero."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--allow-reorder",
            action="store_true",
            help="also where the handler has handled later events of the key: it takes effect out of order",
        )

    def act(self, events: Sequence[Target], options: dict[str, Any]) -> list[ActionResult]:
        reorder = options["allow_reorder"]
        return actions.retry(events, actor=actor(), reason=options["reason"], allow_reorder=reorder)
