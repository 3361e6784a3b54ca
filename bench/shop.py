"""The data that the orders need: customers, products with enough stock, and a coupon for each order."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import requests
from psycopg2.extensions import cursor

from bench.errors import BenchError
from stack.progress import tell

CUSTOMERS = 8
PRODUCTS = 50
STOCK = 100_000_000
QUANTITIES = (1, 2, 3)
SEED = 20_251_123
ANSWER_SECONDS = 15.0
KNOWN_SECONDS = 30.0

# The API would grant them one by one. These rows are the same.
_GRANT = """
INSERT INTO coupon_app_coupon (id, campaign_id, user_id, status, granted_by, grant_reason, granted_at)
SELECT uuidv7(), %s, (%s::uuid[])[1 + n %% %s], 'AVAILABLE', 'bench', 'bench', now() FROM generate_series(1, %s) AS n
RETURNING id::text, user_id::text
"""
_KNOWN = "SELECT count(*) FROM order_app_productcopy WHERE product_id = ANY(%s::uuid[])"
_COUNT_GRANTED = "UPDATE coupon_app_campaign SET granted = granted + %s WHERE id = %s"


@dataclass
class Account:
    """A user with a name and a password, and with a token after signing in."""

    values: Mapping[str, str]
    username: str
    password: str
    id: str = ""
    token: str = ""

    def register(self) -> Account:
        """Create the account."""
        body = {"username": self.username, "email": f"{self.username}@example.com", "password": self.password}
        self.id = self.post("user", "/users", body)["id"]
        return self

    def sign_in(self) -> Account:
        """Fetch a new token, because old ones expire."""
        self.token = ""
        self.token = self.post("user", "/token", {"username": self.username, "password": self.password})["access"]
        return self

    def post(self, service: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer's JSON; BenchError if it is not a success."""
        url = f"{self.values[f'{service.upper()}_URL']}/api/v1{path}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = requests.post(url, json=body, headers=headers, timeout=ANSWER_SECONDS)
        if not answer.ok:
            raise BenchError(f"POST {service}{path} answered {answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json()
        return found


@dataclass(frozen=True)
class Wanted:
    """An order to place: two lines of one piece or more, and one of the user's coupons."""

    user_id: str
    coupon_id: str
    lines: list[tuple[str, int]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Shop:
    """The shop of this run. Data of earlier runs may exist beside it."""

    values: Mapping[str, str]
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    customers: list[Account] = field(default_factory=list)
    products: list[str] = field(default_factory=list)
    campaign: str = ""
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    @contextmanager
    def database(self, service: str) -> Iterator[cursor]:
        """Yield a cursor in a service's database, in autocommit."""
        with closing(psycopg2.connect(self.values[f"{service.upper()}_DATABASE_URL"])) as opened:
            opened.autocommit = True
            with opened.cursor() as opened_cursor:
                yield opened_cursor

    def open(self) -> Shop:
        """Fill the shop by the APIs and wait until the order service has its products."""
        tell(f"Seeding {CUSTOMERS} customers and {PRODUCTS} products …")
        operator = Account(self.values, self.values["OPERATOR_USERNAME"], self.values["OPERATOR_PASSWORD"]).sign_in()
        self.customers = [
            Account(self.values, f"bench-{self.run}-{n}", secrets.token_urlsafe(16)).register()
            for n in range(CUSTOMERS)
        ]
        self.products = [self._product(operator, n) for n in range(PRODUCTS)]
        self.campaign = self._campaign(operator)
        self._wait_until_known()
        return self

    def product_apart(self) -> str:
        """Create a product that is in no order of the shop; return its id."""
        operator = Account(self.values, self.values["OPERATOR_USERNAME"], self.values["OPERATOR_PASSWORD"]).sign_in()
        return self._product(operator, PRODUCTS)

    def orders(self, count: int, customers: Sequence[Account] = ()) -> list[Wanted]:
        """Grant `count` coupons to the customers in turn (by default to all); return an order for each coupon."""
        users = [customer.id for customer in customers or self.customers]
        with self.database("coupon") as coupons:
            coupons.execute(_GRANT, [self.campaign, users, len(users), count])
            granted = coupons.fetchall()
            coupons.execute(_COUNT_GRANTED, [count, self.campaign])
        return [Wanted(user_id, coupon_id, self._lines()) for coupon_id, user_id in granted]

    def _lines(self) -> list[tuple[str, int]]:
        return [(product, self.chance.choice(QUANTITIES)) for product in self.chance.sample(self.products, 2)]

    def _product(self, operator: Account, number: int) -> str:
        body = {"name": f"bench {self.run} {number}", "price": str(1000 + 100 * number), "currency": "KRW"}
        product: str = operator.post("product", "/products", body)["id"]
        adjustment = {"delta": STOCK, "reason": "bench"}
        operator.post("product", f"/products/{product}/stock-adjustments", adjustment)
        return product

    def _campaign(self, operator: Account) -> str:
        now = datetime.now(UTC)
        body = {"name": f"bench {self.run}", "kind": "percent", "value": "10", "minimum_order": "0"}
        body |= {
            "valid_from": (now - timedelta(days=1)).isoformat(),
            "valid_until": (now + timedelta(days=30)).isoformat(),
        }
        limits = {"quantity": 10_000_000, "per_user_limit": 10_000_000}
        campaign: str = operator.post("coupon", "/campaigns", body | limits)["id"]
        return campaign

    def _wait_until_known(self) -> None:
        deadline = time.monotonic() + KNOWN_SECONDS
        with self.database("order") as orders:
            while True:
                orders.execute(_KNOWN, [self.products])
                if orders.fetchone() == (len(self.products),):
                    return
                if time.monotonic() > deadline:
                    raise BenchError(
                        f"The order service lacks products after {KNOWN_SECONDS:.0f} s; see its worker's log."
                    )
                time.sleep(0.1)
