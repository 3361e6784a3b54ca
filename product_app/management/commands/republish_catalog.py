"""manage.py product republish_catalog: publish every product again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from product_app import selectors, services


class Command(BaseCommand):
    help = (
        "Publish ProductChanged again for every product, with its current version. Safe at any time: "
        "a copy that already has the version does not change."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        announced = 0
        for product_ids in selectors.list_product_ids():
            with transaction.atomic():
                announced += services.announce_products(product_ids=product_ids)
        self.stdout.write(f"{announced} products published on product.catalog.")
