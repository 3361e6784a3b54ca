"""manage.py user republish_users: announce every user again, for those who rebuild their copies."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from user_app import tasks


class Command(BaseCommand):
    """Publishes UserChanged for every user, as it is now; versions stay, so copies that are up to date ignore it."""

    help = "Publish UserChanged for every user as it is now. Safe at any time, and safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish, and say how many."""
        count = tasks.republish_users()
        self.stdout.write(f"{count} users announced on user.events.")
