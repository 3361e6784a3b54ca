"""manage.py <service> list_dead_letters"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from messaging.management.base import OperatorCommand
from messaging.models import DeadLetterRow
from messaging.operations.selectors import dead_letters, groups_of

FIELDS = ("event_id", "handler", "topic", "partition", "offset", "key", "type", "reason", "attempts", "error")


class Command(OperatorCommand):
    help = "List the dead letters that wait for an operator: grouped by what went wrong, or one by one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name in ("fingerprint", "handler", "topic", "key"):
            parser.add_argument(f"--{name}")
        parser.add_argument("--each", action="store_true", help="one by one, not grouped")
        parser.add_argument("--resolved", action="store_true", help="also those that were retried or skipped already")
        parser.add_argument("--json", action="store_true", help="as JSON, one object a line")

    def operate(self, options: dict[str, Any]) -> None:
        asked = {name: options[name] for name in ("fingerprint", "handler", "topic", "key")}
        letters = dead_letters(**asked, open=not options["resolved"])
        rows = (
            [_row(each) for each in letters.iterator()] if options["each"] else [asdict(g) for g in groups_of(letters)]
        )
        for row in rows:
            self.stdout.write(json.dumps(row, default=str) if options["json"] else _line(row))
        if not rows and not options["json"]:
            self.stdout.write("There is no dead letter: nothing is to be done.")


def _row(letter: DeadLetterRow) -> dict[str, Any]:
    more = {"fingerprint": letter.fingerprint, "at": letter.at, "resolution": letter.resolution}
    return {name: getattr(letter, name) for name in FIELDS} | more


def _line(row: dict[str, Any]) -> str:
    if "count" in row:
        times = f"{row['first_at']:%Y-%m-%d %H:%M:%S} to {row['last_at']:%H:%M:%S} UTC"
        return (
            f"{row['count']:>7}  {row['fingerprint'] or row['reason']}  ({row['reason']} at {row['handler']}, {times})"
        )
    place = f"{row['topic']}/{row['partition']}/{row['offset']} key {row['key'] or '(none)'}"
    return f"{row['event_id']} {row['handler']}  {place}  {row['reason']}: {row['error'][:200]} {row['resolution']}"
