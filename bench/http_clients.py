"""A process with keep-alive HTTP clients that place orders.

Run as `python -m bench.http_clients`; see `load.py` for what it reads and writes.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from bench.load import Placing, serve

TIMEOUT_SECONDS = 30.0


class Client:
    """One connection of one customer."""

    def __init__(self, address: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection.connect()

    def place(self, wanted: dict[str, Any]) -> str:
        """Place an order and return its id; RuntimeError if the answer is not 202."""
        lines = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in wanted["lines"]]
        body = json.dumps({"lines": lines, "coupon_id": wanted["coupon_id"]})
        headers = self._headers | {"Idempotency-Key": str(uuid4())}
        self._connection.request("POST", "/api/v1/orders", body=body, headers=headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"POST /orders answered {answer.status}: {text[:300].decode(errors='replace')}")
        return str(json.loads(text)["id"])


def place(task: dict[str, Any]) -> Placing:
    """Place the orders with one client per customer, all clients in parallel."""
    shares: dict[str, tuple[Client, list[dict[str, Any]]]] = {
        user_id: (Client(task["address"], token), []) for user_id, token in task["tokens"].items()
    }
    for wanted in task["orders"]:
        shares[wanted["user_id"]][1].append(wanted)
    started, cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(max_workers=len(shares)) as pool:
        for done in [pool.submit(_place_share, client, orders) for client, orders in shares.values()]:
            done.result()
    return Placing(started, time.monotonic(), time.process_time() - cpu)


def _place_share(client: Client, orders: list[dict[str, Any]]) -> None:
    for wanted in orders:
        client.place(wanted)


if __name__ == "__main__":
    serve(sys.stdin, place)
