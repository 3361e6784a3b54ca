"""What the operators' commands share: how events are chosen, clear errors with exit codes, and the results as text."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from messaging.audit_log import ActionResult, ReasonMissing, Target, login_name
from messaging.errors import ExitCode, UnknownName
from messaging.operations.selectors import dead_letters, groups_of, targets_of, waiting_or_dead

#: Who runs a command.
actor = login_name
#: Results that are no success.
FAILURES = ("refused", "unknown", "failed")


class OperatorCommand(BaseCommand):
    """A command that ends with a sentence and an exit code, never with a traceback, when it can't be done."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Run operate(), and say what is wrong."""
        try:
            self.operate(options)
        except ReasonMissing as error:
            raise CommandError(f"--reason TEXT is missing. {error}", returncode=ExitCode.NO_REASON) from error
        except UnknownName as error:
            raise CommandError(str(error), returncode=ExitCode.UNKNOWN_NAME) from error
        except DatabaseError as error:
            raise CommandError(
                f"The database did not answer: {error}. The audit log shows what was done; run the same command again.",
                returncode=ExitCode.INCOMPLETE,
            ) from error

    def operate(self, options: dict[str, Any]) -> None:
        """Do the command's work."""
        raise NotImplementedError

    def show_results(self, results: Sequence[ActionResult]) -> None:
        """Print what became of each event; CommandError when one was not done."""
        for result in results:
            self.stdout.write(f"{result.outcome:<10} {result.event_id} {result.handler}: {result.detail}")
        counts = Counter(result.outcome for result in results)
        summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        if any(counts[outcome] for outcome in FAILURES):
            raise CommandError(f"not all were done: {summary}", returncode=ExitCode.REFUSED)
        self.stdout.write(summary)


class GroupCommand(OperatorCommand):
    """A command on chosen dead letters: shows them first, acts with --execute."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add what chooses, and what executes."""
        parser.add_argument("--event-id", metavar="ID", help="this event, a dead letter or one that waits in its queue")
        parser.add_argument("--handler", metavar="NAME", help="only at this handler (- is for what cannot be decoded)")
        parser.add_argument("--fingerprint", metavar="TEXT", help="only those that failed alike; list_dead_letters")
        parser.add_argument("--topic", metavar="NAME", help="only of this topic")
        parser.add_argument("--key", metavar="KEY", help="only of this key")
        parser.add_argument("--all", action="store_true", help="every open dead letter")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--dry-run", action="store_true", help="only show which (the default)")
        mode.add_argument("--execute", action="store_true", help="do it")
        parser.add_argument("--reason", default="", metavar="TEXT", help="why; needed to execute, and kept")

    def operate(self, options: dict[str, Any]) -> None:
        """Choose, show, and act when that is asked for."""
        events = self.choose(options)
        if not events:
            raise CommandError(
                "No open dead letter is chosen by that; see list_dead_letters.", returncode=ExitCode.NOTHING_FOUND
            )
        if options["execute"]:
            self.show_results(self.act(events, options))
        else:
            self.stdout.write(f"dry run: {len(events)} chosen, nothing was changed. Add --execute --reason TEXT.")

    def act(self, events: Sequence[Target], options: dict[str, Any]) -> list[ActionResult]:
        """Do it to the events."""
        raise NotImplementedError

    def choose(self, options: dict[str, Any]) -> list[Target]:
        """Return what the options choose, having shown it; CommandError when they choose by nothing."""
        asked = {name: options[name] for name in ("fingerprint", "handler", "topic", "key")}
        if options["event_id"] is not None:
            return self._shown(waiting_or_dead(options["event_id"], options["handler"]))
        if not options["all"] and not any(text is not None for text in asked.values()):
            raise CommandError(
                "Choose by --event-id, --handler, --fingerprint, --topic, --key, or say --all.", returncode=2
            )
        letters = dead_letters(**asked)
        for group in groups_of(letters):
            self.stdout.write(f"{group.count:>7}  {group.fingerprint or group.reason}  at {group.handler}")
        return targets_of(letters)

    def _shown(self, events: list[Target]) -> list[Target]:
        for event_id, handler in events:
            self.stdout.write(f"{event_id}  at {handler}")
        return events
