"""The demo's shop: an operator who fills it, customers who buy, and the list of orders."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from stack.demo.books import Books
from stack.demo.client import Person
from stack.demo.timeline import Timelines
from stack.progress import show

SERVICES = ("order", "product", "coupon", "user")


@dataclass
class Placed:
    """An order of the demo, with the status that it must reach."""

    kind: str
    order: dict[str, Any]
    expected: str

    @property
    def id(self) -> str:
        return str(self.order["id"])


@dataclass
class Shop:
    """Everything that a scene needs. Names end in letters of the run, because the data of earlier runs stay."""

    operator: Person
    urls: Mapping[str, str]
    books: Books
    timelines: Timelines = field(default_factory=Timelines)
    placed: list[Placed] = field(default_factory=list)
    run: str = field(default_factory=lambda: secrets.token_hex(3))

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Shop:
        """Sign the operator in to the services that `variables` (the env file) name."""
        urls = {name: variables[f"{name.upper()}_URL"] for name in SERVICES}
        databases = {name: variables[f"{name.upper()}_DATABASE_URL"] for name in SERVICES}
        operator = Person(urls, variables["OPERATOR_USERNAME"], variables["OPERATOR_PASSWORD"])
        return cls(operator.sign_in(), urls, Books(databases))

    def customer(self, name: str) -> Person:
        """Register a customer."""
        return Person(self.urls, f"{name}-{self.run}", secrets.token_urlsafe(16)).register()

    def product(self, name: str, price: str, stock: int, currency: str = "KRW") -> str:
        """Put a product on sale and return its id."""
        body = {"name": f"{name} {self.run}", "price": price, "currency": currency}
        product: str = self.operator.call("POST", "product", "/products", body)["id"]
        adjustment = {"delta": stock, "reason": "first delivery"}
        self.operator.call("POST", "product", f"/products/{product}/stock-adjustments", adjustment)
        return product

    def stock(self, product: str) -> int:
        """Return how many pieces are in stock."""
        return int(self.operator.call("GET", "product", f"/products/{product}")["available"])

    def campaign(self, name: str, **terms: Any) -> str:
        """Create a campaign that is valid since yesterday, and return its id."""
        now = datetime.now(UTC)
        dates = {"valid_from": now - timedelta(days=1), "valid_until": now + timedelta(days=30)}
        body = {"name": f"{name} {self.run}", "minimum_order": "0", "quantity": 10, "per_user_limit": 5}
        body |= {key: value.isoformat() for key, value in dates.items()} | terms
        campaign: str = self.operator.call("POST", "coupon", "/campaigns", body)["id"]
        return campaign

    def grant(self, campaign: str, person: Person) -> str:
        """Grant a customer a coupon of the campaign and return its id."""
        body = {"campaign_id": campaign, "user_id": person.id, "reason": "the demo"}
        coupon: str = self.operator.call("POST", "coupon", "/coupons", body)["id"]
        return coupon

    def place(
        self, kind: str, person: Person, lines: Mapping[str, int], coupon: str | None = None, *, ends: str = "CONFIRMED"
    ) -> Placed:
        """Place an order that must end as `ends`, and print it."""
        placed = Placed(kind, person.place(lines, coupon), ends)
        self.placed.append(placed)
        show(f"  order {len(self.placed):2} ({kind}) 202 → {placed.id}")
        return placed

    def follow(self, person: Person, *orders: Placed) -> None:
        """Show the timelines of the orders until their sagas have ended."""
        for placed in orders:
            if len(orders) > 1:
                show(f"   {placed.id}:")
            self.timelines.follow(person, placed.order)
