"""Every operation of the four HTTP APIs, with a request that each accepts while its database is well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import requests

from tests.journeys.shop import Person

PASSWORD = "a long and quiet river 7"
SIGN_IN = {"username": "nobody", "password": PASSWORD}
CAMPAIGN = {
    "name": "a campaign",
    "kind": "percent",
    "value": "10",
    "valid_from": datetime.now(UTC).isoformat(),
    "valid_until": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    "quantity": 10,
}


@dataclass(frozen=True)
class Operation:
    """An operation, named as the OpenAPI schema does. `writes`: it can't be done on a database that is read only."""

    service: str
    method: str
    path: str
    body: Any = None
    writes: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.service}{self.path}"

    def send(self, person: Person, ids: dict[str, str]) -> requests.Response:
        """Send it as `person`; the names in its path and its body stand for `ids`."""
        body = {name: ids.get(value, value) if isinstance(value, str) else value for name, value in self.fields()}
        if self.path == "/orders" and body:
            body["lines"] = [{"product_id": ids["{product_id}"], "quantity": 1}]
        headers = {"Idempotency_Key": str(uuid4())}
        return person.request(self.method, self.service, self.path.format(**named(ids)), body or None, **headers)

    def fields(self) -> Iterator[tuple[str, Any]]:
        yield from (self.body or {}).items()


def named(ids: dict[str, str]) -> dict[str, str]:
    """Return ids by their bare names, as a path is filled in."""
    return {name.strip("{}"): value for name, value in ids.items()}


OPERATIONS = (
    Operation("user", "POST", "/users", {**SIGN_IN, "username": "{new}", "email": "a@example.com"}, writes=True),
    Operation("user", "POST", "/token", SIGN_IN),
    Operation("user", "POST", "/token/refresh", {"refresh": "{refresh}"}, writes=True),
    Operation("user", "POST", "/token/revoke", {"refresh": "{refresh}"}, writes=True),
    Operation("user", "GET", "/users/me"),
    Operation("user", "PATCH", "/users/me", {"email": "b@example.com"}, writes=True),
    Operation("user", "GET", "/users/me/sessions"),
    Operation("user", "DELETE", "/users/me/sessions", writes=True),
    Operation("user", "DELETE", "/users/me/sessions/{session_id}", writes=True),
    Operation("user", "GET", "/users/me/purchases"),
    Operation("product", "GET", "/products"),
    Operation("product", "POST", "/products", {"name": "a thing", "price": "10", "currency": "KRW"}, writes=True),
    Operation("product", "GET", "/products/{product_id}"),
    Operation("product", "PATCH", "/products/{product_id}", {"name": "another thing"}, writes=True),
    Operation("product", "POST", "/products/{product_id}/stock-adjustments", {"delta": 1, "reason": "x"}, writes=True),
    Operation("coupon", "GET", "/campaigns"),
    Operation("coupon", "POST", "/campaigns", CAMPAIGN, writes=True),
    Operation("coupon", "GET", "/campaigns/{campaign_id}"),
    Operation("coupon", "POST", "/campaigns/{campaign_id}/claims", writes=True),
    Operation("coupon", "GET", "/claims/{claim_id}"),
    Operation("coupon", "GET", "/coupons"),
    Operation(
        "coupon", "POST", "/coupons", {"campaign_id": "{campaign_id}", "user_id": "{user_id}", "reason": "x"}, True
    ),
    Operation("order", "GET", "/orders"),
    Operation("order", "POST", "/orders", {"lines": []}, writes=True),
    Operation("order", "GET", "/orders/{order_id}"),
    Operation("order", "POST", "/orders/{order_id}/cancel", {"reason": "changed my mind"}, writes=True),
    Operation("order", "GET", "/orders/{order_id}/saga"),
)


def of(service: str) -> list[Operation]:
    """Return the operations of a service."""
    return [each for each in OPERATIONS if each.service == service]


def declared(person: Person, service: str) -> set[str]:
    """Return the operations that the service's own OpenAPI schema has."""
    schema = requests.get(f"{person.urls[service]}/api/schema", params={"format": "json"}, timeout=15).json()
    return {
        f"{method.upper()} {service}{path.removeprefix('/api/v1')}"
        for path, operations in schema["paths"].items()
        for method in operations
        if method in ("get", "post", "patch", "put", "delete")
    }
