"""manage.py <service> replay_topic TOPIC[:p,p] …"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from kafka.errors import KafkaError
from tqdm import tqdm

from messaging.errors import ExitCode, PartitionStopped, RangeRefused
from messaging.kafka.clients import reader
from messaging.management.base import actor
from messaging.models import ReplayRun
from messaging.registry import all_handlers
from messaging.replay.plan import Plan, ReplayRequest, plan_of
from messaging.replay.ranges import moment, topic_and_partitions
from messaging.replay.run import ReplayOutcome, replay, replay_lock


class Command(BaseCommand):
    help = (
        "Read a topic's range again and pass it through this service's handlers; applies only what was never applied."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("topic", metavar="TOPIC[:p,p]", help="the topic, all of it or some partitions")
        start = parser.add_mutually_exclusive_group(required=True)
        start.add_argument("--from-earliest", action="store_true")
        start.add_argument("--from-offset", type=int, metavar="N")
        start.add_argument("--from-datetime", type=moment, metavar="T", help="with a zone")
        end = parser.add_mutually_exclusive_group()
        end.add_argument("--until-offset", type=int, metavar="N", help="stop before this offset")
        end.add_argument("--until-datetime", type=moment, metavar="T", help="with a zone")
        parser.add_argument("--key", help="only records of this key")
        parser.add_argument("--handler", metavar="NAME", help="only this handler")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--dry-run", action="store_true", help="only count (the default)")
        mode.add_argument("--execute", action="store_true", help="apply what was never applied")
        parser.add_argument("--reason", default="", help="why; needed to execute, and kept")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.replay(request_of(options), execute=options["execute"], reason=options["reason"].strip())
        except RangeRefused as refusal:
            raise CommandError(str(refusal), returncode=refusal.exit_code) from refusal
        except PartitionStopped as error:
            raise CommandError(
                f"{error}. What came before was applied. Run the same again when the cause is gone.",
                returncode=ExitCode.INCOMPLETE,
            ) from error
        except (KafkaError, DatabaseError) as error:
            raise CommandError(
                f"Kafka or the database did not answer: {error!r}. The table shows what was applied; run it again.",
                returncode=ExitCode.INCOMPLETE,
            ) from error

    def replay(self, request: ReplayRequest, *, execute: bool, reason: str) -> None:
        """Plan, run, and print the table. RangeRefused when the request can't be run as asked."""
        if execute and not reason:
            raise RangeRefused("--execute needs --reason TEXT: it is kept with what was done", ExitCode.NO_REASON)
        with reader() as consumer, replay_lock(request.topic):
            plan = plan_of(request, consumer)
            self.show_plan(plan)
            run = self._begin(plan, reason) if execute else None
            outcome = ReplayOutcome()
            try:
                with tqdm(total=plan.offsets, unit="offset", disable=not sys.stderr.isatty()) as bar:
                    replay(plan, consumer, outcome, execute=execute, progress=bar.update)
            finally:
                self.show_outcome(outcome, execute=execute)
                if run:
                    run.finish(outcome)

    def _begin(self, plan: Plan, reason: str) -> ReplayRun:
        return ReplayRun.objects.create(
            topic=plan.request.topic,
            ranges={f"{topic}/{partition}": list(span) for (topic, partition), span in plan.ranges.items()},
            actor=actor(),
            reason=reason,
        )

    def show_plan(self, plan: Plan) -> None:
        """Print which offsets will be read."""
        for (topic, partition), (start, stop) in sorted(plan.ranges.items()):
            self.stdout.write(f"{topic}/{partition}: offsets {start} to {stop - 1}")

    def show_outcome(self, outcome: ReplayOutcome, *, execute: bool) -> None:
        """Print the table of applied, already done and refused per event type."""
        applied = "applied" if execute else "would apply"
        self.stdout.write(f"{'event type':<40}{applied:>14}{'already done':>14}{'refused':>10}{'passed over':>13}")
        for name in outcome.types:
            counts = (outcome.applied[name], outcome.done[name], outcome.refused[name], outcome.passed_over[name])
            self.stdout.write(f"{name:<40}{counts[0]:>14}{counts[1]:>14}{counts[2]:>10}{counts[3]:>13}")
        if outcome.refused:
            self.stdout.write(
                "refused: the same handler has handled a later event of that key; applying would reorder."
            )
        if not execute:
            self.stdout.write("dry run: nothing was changed. Add --execute --reason TEXT to apply.")


def request_of(options: dict[str, Any]) -> ReplayRequest:
    """Read the command's options. RangeRefused for an unknown handler or a partition that is no number."""
    topic, partitions = topic_and_partitions(options["topic"])
    names = [handler.name for handler in all_handlers()]
    if options["handler"] not in (None, *names):
        raise RangeRefused(f"no handler {options['handler']!r}; there are {', '.join(names)}", ExitCode.UNKNOWN_NAME)
    return ReplayRequest(
        topic=topic,
        partitions=partitions,
        from_offset=options["from_offset"],
        from_datetime=options["from_datetime"],
        until_offset=options["until_offset"],
        until_datetime=options["until_datetime"],
        key=options["key"],
        handler=options["handler"],
    )
