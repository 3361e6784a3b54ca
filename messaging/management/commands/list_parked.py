"""manage.py <service> list_parked"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from messaging.management.base import OperatorCommand
from messaging.operations.selectors import ParkedQueue, parked_keys


class Command(OperatorCommand):
    help = "List the parked keys: how many events wait, and what the first one waits for."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--topic")
        parser.add_argument("--key")
        parser.add_argument("--limit", type=int, default=1000, metavar="N", help="at most so many (1000)")
        parser.add_argument("--json", action="store_true", help="as JSON, one object a line")

    def operate(self, options: dict[str, Any]) -> None:
        queues = parked_keys(topic=options["topic"], key=options["key"], limit=options["limit"])
        for queue in queues:
            self.stdout.write(json.dumps(asdict(queue), default=str) if options["json"] else _line(queue))
        if not queues and not options["json"]:
            self.stdout.write("No key is parked: every key goes on.")


def _line(queue: ParkedQueue) -> str:
    if not queue.event_id:
        return f"{queue.topic} {queue.key}: nothing waits any more, it is about to go on"
    then = (
        "waits for an operator"
        if queue.next_attempt_at is None
        else f"tried again at {queue.next_attempt_at:%F %T} UTC"
    )
    head = f"{queue.event_id} {queue.handler} {queue.state} after {queue.attempts} attempts, {then}"
    return f"{queue.topic} {queue.key}: {queue.length} in the queue; first {head}: {queue.error[:200]}"
