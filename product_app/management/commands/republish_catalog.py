"""manage.py product republish_catalog [--force --reason TEXT]: publish every product again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from messaging import ReasonMissing, Result, record_action
from product_app import selectors, services


class Command(BaseCommand):
    help = (
        "Publish ProductChanged again for every product, with its current version. Safe at any time: "
        "a copy that already has the version does not change. After a change by SQL, which raises no version, "
        "use --force."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--force", action="store_true", help="raise every product's version first, so that every copy takes it"
        )
        parser.add_argument("--reason", default="", metavar="TEXT", help="why; needed for --force, and kept")

    def handle(self, *args: Any, **options: Any) -> None:
        force = options["force"]
        if force:
            self._record(options["reason"])
        announced = 0
        for product_ids in selectors.list_product_ids():
            with transaction.atomic():
                announced += services.announce_products(product_ids=product_ids, raise_versions=force)
        self.stdout.write(f"{announced} products published on product.catalog.")

    def _record(self, reason: str) -> None:
        """Write it to the audit log before it begins: each page of products is a transaction of its own."""
        try:
            with transaction.atomic():
                record_action("republish", [Result(("", "product.catalog"), "done", "versions raised")], reason=reason)
        except ReasonMissing as error:
            raise CommandError(f"--force needs --reason TEXT. {error}", returncode=8) from error
