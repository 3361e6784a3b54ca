"""Checks the books (P7) across the four databases: nothing sold twice, nothing lost, no coupon used twice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psycopg2

Rows = list[tuple[Any, ...]]

UNFINISHED = """
    SELECT count(*) FROM order_app_order o JOIN order_app_saga s ON s.order_id = o.id
    WHERE o.status = 'PENDING' OR s.status NOT IN ('COMPLETED', 'COMPENSATED', 'BY_HAND')
"""
CONFIRMED = "SELECT id::text, coupon_id::text FROM order_app_order WHERE status = 'CONFIRMED'"
STOCK = """
    SELECT p.name, p.quantity, coalesce(h.held, 0), coalesce(a.received, 0)
    FROM product_app_product p
    LEFT JOIN (SELECT product_id, sum(quantity) AS held FROM product_app_stockhold
               WHERE restored_at IS NULL GROUP BY product_id) h ON h.product_id = p.id
    LEFT JOIN (SELECT product_id, sum(delta) AS received FROM product_app_stockadjustment
               GROUP BY product_id) a ON a.product_id = p.id
"""
HOLDING = "SELECT DISTINCT order_id::text FROM product_app_stockhold WHERE restored_at IS NULL"
USED = "SELECT id::text, order_id::text FROM coupon_app_coupon WHERE order_id IS NOT NULL"
GRANTED = """
    SELECT c.name, c.quantity, c.granted, count(k.id) FROM coupon_app_campaign c
    LEFT JOIN coupon_app_coupon k ON k.campaign_id = c.id GROUP BY c.id
"""
COUNTED = "SELECT order_id::text FROM user_app_purchase WHERE state = 'COUNTED'"


class Books:
    """Reads the four databases directly, which no service can."""

    def __init__(self, database_urls: Mapping[str, str]) -> None:
        self._urls = database_urls

    def url(self, service: str) -> str:
        return self._urls[service]

    def ask(self, service: str, query: str) -> Rows:
        with closing(psycopg2.connect(self._urls[service])) as opened, opened.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def unfinished(self) -> int:
        """Return how many orders are not in a final status."""
        return int(self.ask("order", UNFINISHED)[0][0])

    def statuses(self, order_ids: list[str]) -> dict[str, str]:
        """Return the status of each of these orders."""
        rows = self.ask("order", "SELECT id::text, status FROM order_app_order")
        return {order: status for order, status in rows if order in set(order_ids)}

    def is_at_rest(self) -> bool:
        """Return whether every order is final, every outbox is empty, and the purchase histories are up to date."""
        waiting = [self.ask(service, "SELECT 1 FROM messaging_outbox LIMIT 1") for service in self._urls]
        return self.unfinished() == 0 and not any(waiting) and not self._purchase_differences()

    def violations(self) -> list[str]:
        """Return a sentence for each broken rule."""
        return [*self._stock(), *self._holds(), *self._coupons(), *self._campaigns(), *self._purchase_differences()]

    def _stock(self) -> list[str]:
        return [
            f"{name}: {quantity} in stock + {held} held does not equal {received} received"
            for name, quantity, held, received in self.ask("product", STOCK)
            if quantity + held != received
        ]

    def _confirmed(self) -> dict[str, str | None]:
        return dict(self.ask("order", CONFIRMED))

    def _holds(self) -> list[str]:
        return _differences(set(self._confirmed()), self._one_column("product", HOLDING), "holds stock")

    def _coupons(self) -> list[str]:
        wanted = {(coupon, order) for order, coupon in self._confirmed().items() if coupon}
        used = set(self.ask("coupon", USED))
        return [f"coupon {coupon} and order {order} disagree about its use" for coupon, order in wanted ^ used]

    def _campaigns(self) -> list[str]:
        return [
            f"campaign {name}: {coupons} coupons exist, {granted} are counted, {quantity} are allowed"
            for name, quantity, granted, coupons in self.ask("coupon", GRANTED)
            if coupons > quantity or coupons != granted
        ]

    def _purchase_differences(self) -> list[str]:
        return _differences(set(self._confirmed()), self._one_column("user", COUNTED), "is in a purchase history")

    def _one_column(self, service: str, query: str) -> set[str]:
        return {row[0] for row in self.ask(service, query)}


def _differences(confirmed: set[str], found: set[str], what: str) -> list[str]:
    missing = [f"confirmed order {order} is not one that {what}" for order in confirmed - found]
    return missing + [f"order {order} {what} but is not confirmed" for order in found - confirmed]
