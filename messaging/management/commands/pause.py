"""manage.py <service> pause [NAME]"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from messaging.management.base import OperatorCommand, actor
from messaging.models import Pause
from messaging.operations import actions
from messaging.parking import pauses


class Command(OperatorCommand):
    help = "Pause a handler or a topic of this service; without a name, show what is paused and what can be."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="a handler or a topic")
        parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the audit log")

    def operate(self, options: dict[str, Any]) -> None:
        if options["name"]:
            self.show_results([actions.pause(options["name"], actor=actor(), reason=options["reason"])])
        else:
            self.show_pauses()

    def show_pauses(self) -> None:
        """Print what is paused, and the names that can be."""
        for pause in Pause.objects.order_by("at"):
            self.stdout.write(f"paused: {pause.name} since {pause.at:%F %T} UTC by {pause.actor}: {pause.reason}")
        if not Pause.objects.exists():
            self.stdout.write("Nothing is paused.")
        handlers, topics = pauses.known_names()
        self.stdout.write(f"handlers: {', '.join(handlers)}\ntopics: {', '.join(topics)}")
