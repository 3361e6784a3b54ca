"""manage.py <service> resume [NAME]"""

from __future__ import annotations

from typing import Any

from messaging.management.base import actor
from messaging.management.commands import pause
from messaging.operations import actions


class Command(pause.Command):
    help = "Resume a paused handler or topic; without a name, show what is paused."

    def operate(self, options: dict[str, Any]) -> None:
        if options["name"]:
            self.show_results([actions.resume(options["name"], actor=actor(), reason=options["reason"])])
        else:
            self.show_pauses()
