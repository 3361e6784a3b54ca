"""A process of the order service's project. It places orders by `services`, without HTTP.

Run as `python -m bench.direct` with the order service's variables; see `load.py` for what it reads and writes.
"""

from __future__ import annotations

import sys
import time
from typing import Any
from uuid import UUID

import django
from django.db import connection, transaction

from bench.load import Placing, serve


def main() -> None:
    """Set up Django, then place the orders from standard input."""
    django.setup()
    connection.ensure_connection()
    serve(sys.stdin, place)


def place(task: dict[str, Any]) -> Placing:
    """Place the orders, `batch` of them in each transaction."""
    from order_app.services import place_orders  # it needs Django's set-up

    requests = [_request(each) for each in task["orders"]]
    size = int(task["batch"])
    started, cpu = time.monotonic(), time.process_time()
    for first in range(0, len(requests), size):
        with transaction.atomic():
            place_orders(requests=requests[first : first + size])
    return Placing(started, time.monotonic(), time.process_time() - cpu)


def _request(wanted: dict[str, Any]) -> Any:
    from order_app.domain import LineRequest, OrderRequest

    lines = tuple(LineRequest(UUID(product_id), quantity) for product_id, quantity in wanted["lines"])
    return OrderRequest(UUID(wanted["user_id"]), lines, UUID(wanted["coupon_id"]))


if __name__ == "__main__":
    main()
