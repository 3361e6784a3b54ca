"""manage.py <service> edit_dead_letter EVENT_ID HANDLER …"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from messaging.errors import ExitCode
from messaging.kafka.records import unpacked
from messaging.management.base import OperatorCommand, actor
from messaging.models import DeadLetterRow
from messaging.operations import actions


def pair(text: str) -> tuple[str, str]:
    """Read name=value."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} is not name=value")
    return name, value


class Command(OperatorCommand):
    help = "Retry a dead letter with another value or other headers; the original is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event_id", metavar="EVENT_ID")
        parser.add_argument("handler", metavar="HANDLER", help="- for what cannot be decoded")
        value = parser.add_mutually_exclusive_group()
        value.add_argument("--value", metavar="JSON", help="the new value")
        value.add_argument("--value-file", metavar="F", help="a file with the new value, or - for standard input")
        value.add_argument("--show", action="store_true", help="only print the value as it is")
        parser.add_argument("--header", metavar="NAME=VALUE", type=pair, action="append", default=[])
        parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the audit log")
        parser.add_argument("--allow-reorder", action="store_true", help="as for replay_dead_letters")

    def operate(self, options: dict[str, Any]) -> None:
        event = (options["event_id"], options["handler"])
        if options["show"]:
            self.stdout.write(self.value_of(*event))
            return
        result = actions.edit_and_retry(
            event,
            value=_value(options),
            headers=dict(options["header"]),
            actor=actor(),
            reason=options["reason"],
            allow_reorder=options["allow_reorder"],
        )
        self.show_results([result])

    def value_of(self, event_id: str, handler: str) -> str:
        """Return the value of a dead letter as a retry would use it now."""
        letter = DeadLetterRow.objects.filter(event_id=event_id, handler=handler).first()
        if letter is None:
            raise CommandError(
                "There is no such dead letter; see list_dead_letters.", returncode=ExitCode.NOTHING_FOUND
            )
        return (unpacked(letter.edited or letter.raw).value or b"").decode(errors="replace")


def _value(options: dict[str, Any]) -> bytes | None:
    if options["value"] is not None:
        return str(options["value"]).encode("utf-8", "surrogateescape")
    if options["value_file"] is None:
        return None
    if options["value_file"] == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(options["value_file"]).read_bytes()
    except OSError as error:
        raise CommandError(str(error), returncode=ExitCode.UNREADABLE_FILE) from error
