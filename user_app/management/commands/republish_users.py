"""manage.py user republish_users: publish every user again, for services that rebuild their copies."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from user_app import tasks


class Command(BaseCommand):
    """Publishes UserChanged again for every user. Versions stay, so current copies do not change."""

    help = "Publish UserChanged again for every user, with its current version. Safe at any time, and safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish the users and print how many."""
        count = tasks.republish_users()
        self.stdout.write(f"{count} users published on user.events.")
