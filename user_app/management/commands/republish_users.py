"""manage.py user republish_users [--force --reason TEXT]: publish every user again, for rebuilt copies."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from messaging import ReasonMissing, Result, record_action
from user_app import tasks


class Command(BaseCommand):
    """Publishes UserChanged again for every user. Without --force versions stay, so current copies do not change."""

    help = (
        "Publish UserChanged again for every user, with its current version. Safe at any time, and safe to repeat. "
        "After a change by SQL, which raises no version, use --force."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --force and --reason."""
        parser.add_argument(
            "--force", action="store_true", help="raise every user's version first, so that every copy takes it"
        )
        parser.add_argument("--reason", default="", metavar="TEXT", help="why; needed for --force, and kept")

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish the users and print how many."""
        if options["force"]:
            self._record(options["reason"])
        count = tasks.republish_users(raise_versions=options["force"])
        self.stdout.write(f"{count} users published on user.events.")

    def _record(self, reason: str) -> None:
        """Write it to the audit log before it begins: each page of users is a transaction of its own."""
        try:
            with transaction.atomic():
                record_action("republish", [Result(("", "user.events"), "done", "versions raised")], reason=reason)
        except ReasonMissing as error:
            raise CommandError(f"--force needs --reason TEXT. {error}", returncode=8) from error
