"""manage.py <service> reset_consumer_offsets TOPIC[:p,p] …"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from kafka.errors import KafkaError

from messaging.errors import ExitCode, PartitionStopped, RangeRefused
from messaging.management.base import OperatorCommand, actor
from messaging.replay import reset_offsets
from messaging.replay.ranges import moment, topic_and_partitions
from messaging.replay.reset_offsets import Move, ResetRequest


class Command(OperatorCommand):
    help = (
        "Move this service's consumer group in a topic: our position and Kafka's offset. Stop the group's workers"
        " first. To apply old events again, use replay_topic: it keeps the order of each key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("topic", metavar="TOPIC[:p,p]", help="the topic, all of it or some partitions")
        to = parser.add_mutually_exclusive_group(required=True)
        to.add_argument("--from-earliest", action="store_true", help="to the log's start")
        to.add_argument("--from-offset", type=int, metavar="N")
        to.add_argument("--from-datetime", type=moment, metavar="T", help="with a zone")
        to.add_argument("--to-latest", action="store_true", help="to the log's end, but before an open transaction")
        to.add_argument(
            "--shift-by", type=int, metavar="N", help="from our position; 0 commits the position to Kafka again"
        )
        parser.add_argument("--allow-skip", action="store_true", help="pass events without handling them")
        parser.add_argument(
            "--allow-reorder", action="store_true", help="handle passed events after later ones of their keys"
        )
        parser.add_argument(
            "--accept-lost-commits",
            action="store_true",
            help="although the position is behind Kafka's committed offset; see docs/howto/move-a-group.md",
        )
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--dry-run", action="store_true", help="only show (the default)")
        mode.add_argument("--execute", action="store_true", help="do it")
        parser.add_argument("--reason", default="", metavar="TEXT", help="why; needed to execute, and kept")

    def operate(self, options: dict[str, Any]) -> None:
        try:
            self._reset(options)
        except RangeRefused as refusal:
            raise CommandError(str(refusal), returncode=refusal.exit_code) from refusal
        except PartitionStopped as error:
            raise CommandError(f"{error}. Nothing was changed.", returncode=ExitCode.INCOMPLETE) from error
        except KafkaError as error:
            raise CommandError(
                f"Kafka did not answer: {error!r}. Run the same again.", returncode=ExitCode.INCOMPLETE
            ) from error

    def _reset(self, options: dict[str, Any]) -> None:
        moves = reset_offsets.plan(request_of(options))
        for move in moves:
            self.stdout.write(line_of(move))
        needed = [move for move in moves if move.is_needed]
        if not needed:
            self.stdout.write("the group is there already")
            return
        consents = ("allow_skip", "allow_reorder", "accept_lost_commits")
        reset_offsets.check(needed, **{name: options[name] for name in consents})
        if options["execute"]:
            reset_offsets.run(needed, actor=actor(), reason=options["reason"])
            self.stdout.write(f"moved; {len(needed)} partitions. Start the group's workers again.")
        else:
            self.stdout.write("dry run: nothing was changed. Add --execute --reason TEXT.")


def line_of(move: Move) -> str:
    """Say where a partition is, and where it would go."""
    words = [f"{move.name}: {'no position' if move.row is None else move.row} → {move.to}"]
    if move.committed != move.row:
        words.append(f"Kafka has {'no offset' if move.committed is None else f'offset {move.committed}'}")
    if move.known is not None:
        words.append(f"the log is another one from offset {move.known} on")
    if move.skipped:
        words.append(f"passes {move.skipped} offsets unhandled")
    if move.row is not None and move.to < move.row:
        words.append(f"reads {move.row - move.to} offsets again")
    return "; ".join(words)


def request_of(options: dict[str, Any]) -> ResetRequest:
    """Read the command's options. RangeRefused for a partition that is no number."""
    topic, partitions = topic_and_partitions(options["topic"])
    return ResetRequest(
        topic=topic,
        partitions=partitions,
        offset=options["from_offset"],
        moment=options["from_datetime"],
        shift=options["shift_by"],
        latest=options["to_latest"],
    )
