"""The four HTTP APIs as people use them: customers who order, and staff who fill the shop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from typing import Any
from uuid import uuid4

import jwt
import requests

from config.topology import SERVICES
from tests.journeys.databases import Databases
from tests.journeys.waiting import SECONDS, eventually

ANSWER_SECONDS = 15.0
#: A password is hashed a million times: long on a busy machine.
PASSWORD_SECONDS = 60.0
ENDED = ("COMPLETED", "COMPENSATED")
#: Of a token that the tests sign; a busy machine may need more than the five minutes of a real one.
TOKEN_LIFETIME = timedelta(hours=1)
SIGNED_IN_SECONDS = 120.0


@dataclass
class Person:
    """Somebody with a token."""

    urls: Mapping[str, str]
    id: str = ""
    http: requests.Session = field(default_factory=requests.Session)
    refresh_token: str = ""

    def sign_in(self, username: str, password: str) -> Person:
        """Fetch tokens from the user service."""
        tokens = self.call("POST", "user", "/token", {"username": username, "password": password})
        self.refresh_token = tokens["refresh"]
        return self.bear(tokens["access"])

    def refresh(self) -> Person:
        """Fetch new tokens, without the password, which costs the user service a second of work."""
        tokens = self.call("POST", "user", "/token/refresh", {"refresh": self.refresh_token})
        self.refresh_token = tokens["refresh"]
        return self.bear(tokens["access"])

    def bear(self, token: str) -> Person:
        """Use this token from now on."""
        self.http.headers["Authorization"] = f"Bearer {token}"
        return self

    def on_another_connection(self) -> Person:
        """Return the same person for use on another thread."""
        other = Person(self.urls, self.id)
        other.http.headers.update(self.http.headers)
        return other

    def request(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Return the answer as it is; a token that expires in a long test is refreshed, as a front end does it."""
        answer = self._request(method, service, path, body, **headers)
        if self.refresh_token and answer.status_code == 401 and "token_expired" in answer.text:
            self.refresh()
            answer = self._request(method, service, path, body, **headers)
        return answer

    def _request(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        url = f"{self.urls[service]}/api/v1{path}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        seconds = PASSWORD_SECONDS if body and "password" in body else ANSWER_SECONDS
        return self.http.request(method, url, json=body, headers=sent, timeout=seconds)

    def call(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON of an answer that has to be a success."""
        answer = self.request(method, service, path, body, **headers)
        assert answer.ok, f"{method} {service}{path} answered {answer.status_code}: {answer.text}"
        return answer.json()

    def try_to_place(self, lines: Mapping[str, int], coupon: str | None = None) -> requests.Response:
        """Ask for an order of so many pieces of each product."""
        wanted = [{"product_id": product, "quantity": quantity} for product, quantity in lines.items()]
        body = {"lines": wanted, "coupon_id": coupon}
        return self.request("POST", "order", "/orders", body, Idempotency_Key=str(uuid4()))

    def place(self, lines: Mapping[str, int], coupon: str | None = None) -> str:
        """Place an order, which has to be accepted, and return its id."""
        answer = self.try_to_place(lines, coupon)
        assert answer.status_code == 202, f"{answer.status_code}: {answer.text}"
        return str(answer.json()["id"])

    def order(self, order_id: str) -> dict[str, Any]:
        """Return the order as the API shows it."""
        found: dict[str, Any] = self.call("GET", "order", f"/orders/{order_id}")
        return found

    def saga(self, order_id: str) -> dict[str, Any]:
        """Return the timeline of an order."""
        found: dict[str, Any] = self.call("GET", "order", f"/orders/{order_id}/saga")
        return found

    def cancel(self, order_id: str, reason: str = "") -> None:
        """Cancel an order, which has to be accepted."""
        assert self.request("POST", "order", f"/orders/{order_id}/cancel", {"reason": reason}).status_code == 202

    def wait_ended(self, order_id: str, status: str, seconds: float = SECONDS) -> dict[str, Any]:
        """Wait until the order has that status and its saga has ended; return the order."""
        eventually(
            lambda: self.order(order_id)["status"] == status, f"order {order_id} to be {status}", seconds=seconds
        )
        eventually(lambda: self.saga(order_id)["status"] in ENDED, f"the saga of {order_id} to end", seconds=seconds)
        return self.order(order_id)

    def coupon(self, coupon_id: str) -> dict[str, Any]:
        """Return one of the person's coupons."""
        coupons = self.call("GET", "coupon", "/coupons?page_size=200")["results"]
        return next(each for each in coupons if each["id"] == coupon_id)


class Shop:
    """Makes people, products and campaigns; everything that a journey needs before its first order."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.urls = {name: variables[f"{name.upper()}_URL"] for name in SERVICES}
        self.key = variables["USER_SIGNING_KEY"].replace("\\n", "\n")
        self.kid = requests.get(f"{self.urls['user']}/.well-known/jwks.json", timeout=5).json()["keys"][0]["kid"]
        self._operator = (variables["OPERATOR_USERNAME"], variables["OPERATOR_PASSWORD"])
        self._staff: Person | None = None
        self._signed_in = 0.0

    def staff(self) -> Person:
        """Return the operator, with a token that is good for a while."""
        if self._staff is None:
            self._staff, self._signed_in = Person(self.urls).sign_in(*self._operator), time.monotonic()
        elif time.monotonic() - self._signed_in > SIGNED_IN_SECONDS:
            self._staff, self._signed_in = self._staff.refresh(), time.monotonic()
        return self._staff

    def customer(self) -> Person:
        """Register a customer and sign in, as anybody would."""
        person, name, password = Person(self.urls), f"customer-{uuid4().hex}", token_urlsafe(16)
        body = {"username": name, "email": f"{name}@example.com", "password": password}
        person.id = person.call("POST", "user", "/users", body)["id"]
        return person.sign_in(name, password)

    def visitor(self) -> Person:
        """Return somebody with a token of ours: hashing a password twice for each would be most of the work."""
        person = Person(self.urls, str(uuid4()))
        return person.bear(self.token(person.id))

    def token(self, user_id: str) -> str:
        """Return a token as the user service would sign it."""
        now = datetime.now(UTC)
        claims = {"iss": "user", "aud": list(SERVICES), "sub": user_id, "typ": "access", "staff": False}
        times = {"iat": now, "exp": now + TOKEN_LIFETIME, "jti": str(uuid4())}
        return jwt.encode(claims | times, self.key, algorithm="EdDSA", headers={"kid": self.kid})


class Shelves:
    """What staff does in the shop."""

    def __init__(self, staff: Person, databases: Databases) -> None:
        self.staff = staff
        self._databases = databases

    def product(self, stock: int, price: str = "10000", currency: str = "KRW") -> str:
        """Put a product on sale, wait until it can be ordered, and return its id."""
        body = {"name": "a thing", "price": price, "currency": currency}
        product: str = self.staff.call("POST", "product", "/products", body)["id"]
        adjustment = {"delta": stock, "reason": "delivered"}
        self.staff.call("POST", "product", f"/products/{product}/stock-adjustments", adjustment)
        known = "SELECT 1 FROM order_app_productcopy WHERE product_id = %s"
        eventually(lambda: self._databases.ask("order", known, [product]), f"product {product} to be announced")
        return product

    def stock(self, product: str) -> int:
        """Return how many pieces can be bought now."""
        return int(self.staff.call("GET", "product", f"/products/{product}")["available"])

    def campaign(self, **terms: Any) -> str:
        """Start a campaign of ten percent, valid from yesterday on, and return its id; `terms` change it."""
        now = datetime.now(UTC)
        body = {
            "name": "a campaign",
            "kind": "percent",
            "value": "10",
            "minimum_order": "0",
            "valid_from": (now - timedelta(days=1)).isoformat(),
            "valid_until": (now + timedelta(days=1)).isoformat(),
            "quantity": 10,
            "per_user_limit": 5,
        }
        campaign: str = self.staff.call("POST", "coupon", "/campaigns", body | terms)["id"]
        return campaign

    def coupon(self, person: Person, **terms: Any) -> str:
        """Grant a coupon of a new campaign and return its id."""
        body = {"campaign_id": self.campaign(**terms), "user_id": person.id, "reason": "a journey"}
        coupon: str = self.staff.call("POST", "coupon", "/coupons", body)["id"]
        return coupon
