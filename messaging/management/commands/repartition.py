"""manage.py <service> repartition TOPIC N"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import psycopg2
from django.core.management.base import BaseCommand, CommandError
from kafka.errors import KafkaError

from messaging import audit_log
from messaging.audit_log import ActionResult
from messaging.errors import ExitCode, RepartitionRefused
from messaging.management.base import actor
from messaging.outbox.repartition import others_of_another_size, repartition


class Command(BaseCommand):
    help = (
        "Add partitions to a topic of this service: stop the relays, wait until every consumer group has read the"
        " topic to its end, add the partitions, start the relays. Events wait in the outbox meanwhile; the API accepts"
        " orders."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("topic", metavar="TOPIC", help="a topic that this service owns")
        parser.add_argument("partitions", metavar="N", type=int, help="the number of partitions in all")
        parser.add_argument(
            "--timeout", type=float, default=60.0, metavar="SECONDS", help="longest wait for the groups (default: 60)"
        )
        parser.add_argument(
            "--ignore-group",
            action="append",
            default=[],
            metavar="GROUP",
            help="a group that is no longer used: do not wait for its offsets",
        )

        parser.add_argument("--reason", default="", metavar="TEXT", help="why; needed, and kept in the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        topic, count = options["topic"], options["partitions"]
        if not options["reason"].strip():
            raise CommandError(
                "repartition needs --reason TEXT: it is kept with what was done", returncode=ExitCode.NO_REASON
            )
        try:
            done = repartition(
                topic,
                count,
                seconds=options["timeout"],
                ignored=options["ignore_group"],
                report=self.stdout.write,
            )
            if not done:
                self.stdout.write(f"{topic} has {count} partitions already")
            self._note(options, "done" if done else "unchanged", f"it has {count} partitions")
            self._warn(topic, count)
        except RepartitionRefused as refusal:
            self._note(options, "refused", str(refusal))
            raise CommandError(str(refusal)) from refusal
        except (KafkaError, psycopg2.Error) as error:
            raise CommandError(f"Kafka or the database did not answer, run it again: {error!r}") from error

    def _note(self, options: dict[str, Any], outcome: str, detail: str) -> None:
        """Write the audit log's row; one that was killed before has it when the command is run again."""
        result = ActionResult(("", options["topic"]), outcome, detail)
        audit_log.write("repartition", actor(), options["reason"], [result])

    def _warn(self, topic: str, count: int) -> None:
        """Topics keyed by the same id have the same number of partitions; which are keyed so, a person knows."""
        others = ", ".join(f"{name} ({number})" for name, number in others_of_another_size(topic, count).items())
        if others:
            self.stderr.write(
                self.style.WARNING(
                    f"Topics with another number of partitions: {others}. Those with the same key as {topic} should"
                    f" have {count} too. Set KAFKA_PARTITIONS for topics to come."
                )
            )
