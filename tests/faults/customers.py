"""Customers who order, whatever happens: one whose request got no answer sends it again, until it knows."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

import requests

from tests.journeys.shop import Person, Shop

THREADS = 24
CUSTOMERS = 20
#: The wait before a request is sent again, in seconds.
AGAIN_SECONDS = 0.3
#: A token lives for five minutes; while a service's clock is wrong none is good.
TOKEN_SECONDS = 60.0
#: No decision yet, so the request is sent again: the service is not well, or its clock is not.
NOT_NOW = {401, 429, 503}
#: The longest wait for a claim before the order is placed without its coupon, in seconds.
CLAIM_SECONDS = 6.0


@dataclass(frozen=True)
class Wish:
    """What a customer wants: everything about one order, drawn from the seed."""

    number: int
    key: str
    customer: int
    lines: tuple[tuple[int, int], ...]
    coupon: str  # "", "claim", "another's", "again" (the last one of this customer, used or not)
    cancel_after: float | None
    newcomer: bool


@dataclass(frozen=True)
class Goods:
    """What there is to order: products by their number, and the campaign that gives coupons."""

    products: Sequence[str]
    campaign: str


@dataclass
class Accepted:
    """The answers that the customers got."""

    orders: dict[str, str] = field(default_factory=dict)  # key → order id
    claims: set[str] = field(default_factory=set)
    canceled: set[str] = field(default_factory=set)
    usernames: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


def wishes(seed: int, number: int, products: int, run: str) -> list[Wish]:
    """Draw the orders of a run, whose name is in their keys. The last two products are scarce."""
    chance = random.Random(f"orders {seed}")
    return [_wish(chance, index, run, products) for index in range(number)]


def _wish(chance: random.Random, index: int, run: str, products: int) -> Wish:
    numbers = chance.sample(range(products), chance.choice([1, 1, 2, 3]))
    lines = tuple((number, chance.randint(1, 3)) for number in numbers)
    coupon = chance.choices(["", "claim", "another's", "again"], [65, 25, 3, 7])[0]
    cancel_after = round(chance.uniform(0, 2), 2) if chance.random() < 0.12 else None
    newcomer = chance.random() < 0.03
    return Wish(index, f"{run}-{index}", chance.randrange(CUSTOMERS), lines, coupon, cancel_after, newcomer)


class Customer:
    """One customer, used by several threads."""

    def __init__(self, shop: Shop, number: int, seed: int) -> None:
        self.id = str(UUID(int=random.Random(f"customer {seed} {number}").getrandbits(128), version=4))
        self.coupons: list[str] = []
        self._shop = shop
        self._local = threading.local()

    def person(self) -> Person:
        """Return the customer with a connection of this thread's own and a token that is still good."""
        local = self._local
        if getattr(local, "until", 0.0) < time.monotonic():
            local.person = Person(self._shop.urls, self.id).bear(self._shop.token(self.id))
            local.until = time.monotonic() + TOKEN_SECONDS
        found: Person = local.person
        return found

    def forget_token(self) -> None:
        """Take a new token for the next request."""
        self._local.until = 0.0


class Load:
    """Places all wishes, spread evenly over some seconds, on threads of its own."""

    def __init__(self, shop: Shop, goods: Goods, seed: int, number: int, seconds: float) -> None:
        self.accepted = Accepted()
        self._goods = goods
        self._customers = [Customer(shop, index, seed) for index in range(CUSTOMERS)]
        run = f"soak-{seed}-{time.time_ns()}"  # the stack may have seen the same seed before
        self._waiting = wishes(seed, number, len(goods.products), run)[::-1]
        self._pause = seconds / number
        self._began = time.monotonic()
        self._giving_up = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"customer-{n}", daemon=True) for n in range(THREADS)]

    def start(self) -> None:
        """Open the shop."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until every customer knows; False when some do not by then, and give up."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._giving_up.set()
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while self._waiting:
            try:
                wish = self._waiting.pop()
            except IndexError:
                return
            time.sleep(max(0.0, self._began + wish.number * self._pause - time.monotonic()))
            self._fulfil(wish)

    def _fulfil(self, wish: Wish) -> None:
        customer = self._customers[wish.customer]
        if wish.newcomer:
            self._register(customer, wish.key)
        lines = [{"product_id": self._goods.products[number], "quantity": pieces} for number, pieces in wish.lines]
        body = {"lines": lines, "coupon_id": self._coupon(customer, wish)}
        answer = self._until_known(customer, "POST", "order", "/orders", body, Idempotency_Key=wish.key)
        if answer is None or answer.status_code != 202:
            return
        order = answer.json()["id"]
        self.accepted.orders[wish.key] = order
        if wish.cancel_after is not None:
            time.sleep(wish.cancel_after)
            if self._until_known(customer, "POST", "order", f"/orders/{order}/cancel", {"reason": "changed my mind"}):
                self.accepted.canceled.add(order)

    def _register(self, customer: Customer, name: str) -> None:
        """Open an account; that the name is taken means that an earlier request came through."""
        body = {"username": name, "email": f"{name}@example.com", "password": token_urlsafe(16)}
        if self._until_known(customer, "POST", "user", "/users", body, taken=409):
            self.accepted.usernames.add(name)

    def _coupon(self, customer: Customer, wish: Wish) -> str | None:
        """Return the coupon that the order is to be paid with."""
        if wish.coupon == "claim":
            return self._claim(customer)
        if wish.coupon == "another's":
            others = self._customers[(wish.customer + 1) % CUSTOMERS].coupons
            return others[-1] if others else None
        return customer.coupons[-1] if wish.coupon == "again" and customer.coupons else None

    def _claim(self, customer: Customer) -> str | None:
        """Claim a coupon and wait for it, for a while."""
        answer = self._until_known(customer, "POST", "coupon", f"/campaigns/{self._goods.campaign}/claims", {})
        if answer is None or answer.status_code != 202:
            return None
        claim = answer.json()["id"]
        self.accepted.claims.add(claim)
        deadline = time.monotonic() + CLAIM_SECONDS
        while time.monotonic() < deadline:
            found = self._until_known(customer, "GET", "coupon", f"/claims/{claim}")
            decided = found.json() if found is not None and found.ok else {"status": "PENDING"}
            if decided["status"] != "PENDING":
                if decided["coupon_id"]:
                    customer.coupons.append(decided["coupon_id"])
                return str(decided["coupon_id"]) if decided["coupon_id"] else None
            time.sleep(AGAIN_SECONDS)
        return None

    def _until_known(
        self, customer: Customer, method: str, service: str, path: str, body: Any = None, taken: int = 0, **headers: str
    ) -> requests.Response | None:
        """Send the request again and again until it is answered for good; None when this run is given up.

        `taken`: the status, if any, that says that it was done before.
        """
        while not self._giving_up.is_set():
            answer = self._try(lambda: customer.person().request(method, service, path, body, **headers))
            if answer is not None and answer.status_code not in NOT_NOW and answer.status_code < 500:
                if not answer.ok and answer.status_code != taken:
                    self.accepted.refused.append(f"{method} {service}{path}: {answer.status_code} {answer.text[:200]}")
                return answer
            if answer is None or answer.status_code == 401:
                customer.forget_token()
            time.sleep(AGAIN_SECONDS)
        return None

    def _try(self, send: Callable[[], requests.Response]) -> requests.Response | None:
        try:
            answer = send()
        except requests.RequestException as error:
            self.accepted.answers[type(error).__name__] += 1
            return None
        self.accepted.answers[str(answer.status_code)] += 1
        return answer
