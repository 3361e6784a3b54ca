"""A client of the four HTTP APIs, signed in as a person. It repeats a request only after its token expired."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import requests

from stack.errors import StackError

ANSWER_SECONDS = 15.0
ANNOUNCED_SECONDS = 30.0
ENDED = ("COMPLETED", "COMPENSATED", "BY_HAND")


@dataclass
class Person:
    """A user who is signed in at the user service; may be staff."""

    urls: Mapping[str, str]
    username: str
    password: str
    id: str = ""
    _http: requests.Session = field(default_factory=requests.Session)

    def register(self) -> Person:
        """Create the account and sign in."""
        body = {"username": self.username, "email": f"{self.username}@example.com", "password": self.password}
        self.id = self.call("POST", "user", "/users", body)["id"]
        return self.sign_in()

    def sign_in(self) -> Person:
        """Fetch a token."""
        self._http.headers.pop("Authorization", None)
        tokens = self.call("POST", "user", "/token", {"username": self.username, "password": self.password})
        self._http.headers["Authorization"] = f"Bearer {tokens['access']}"
        return self

    def call(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the answer's JSON; StackError with the problem if the status is not a success."""
        answer = self.request(method, service, path, body, **headers)
        if answer.status_code == 401 and path != "/token":
            self.sign_in()
            answer = self.request(method, service, path, body, **headers)
        if not answer.ok:
            raise StackError(f"{method} {service}{path} answered {answer.status_code}: {answer.text}")
        return answer.json()

    def request(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Return the answer as it is."""
        url = f"{self.urls[service]}/api/v1{path}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._http.request(method, url, json=body, headers=sent, timeout=ANSWER_SECONDS)

    def place(self, lines: Mapping[str, int], coupon_id: str | None = None) -> dict[str, Any]:
        """Place an order of these quantities of products; return the order from the 202.

        The order service may not have a new product yet. Then this waits.
        """
        body = {
            "lines": [{"product_id": product, "quantity": quantity} for product, quantity in lines.items()],
            "coupon_id": coupon_id,
        }
        deadline = time.monotonic() + ANNOUNCED_SECONDS
        while True:
            answer = self.request("POST", "order", "/orders", body, Idempotency_Key=str(uuid4()))
            if answer.status_code == 202:
                order: dict[str, Any] = answer.json()
                return order
            if "unknown_product" not in answer.text or time.monotonic() > deadline:
                raise StackError(f"POST order/orders answered {answer.status_code}: {answer.text}")
            time.sleep(0.1)

    def order(self, order_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", "order", f"/orders/{order_id}")
        return found

    def saga(self, order_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", "order", f"/orders/{order_id}/saga")
        return found

    def cancel(self, order_id: str, reason: str = "") -> None:
        self.call("POST", "order", f"/orders/{order_id}/cancel", {"reason": reason})


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float = 60.0, interval: float = 0.05) -> None:
    """Wait until `is_so`; after `seconds` StackError with `what`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise StackError(f"After {seconds:.0f} s the demo still waits for {what}. See the logs of the stack.")
        time.sleep(interval)
