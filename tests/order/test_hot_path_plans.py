"""A long past changes no plan: what is run for an order takes the same indexes over many old rows as over few."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from messaging import Event
from messaging.inbox import positions
from messaging.testing import deliver, forget_published
from order_app import services, tasks
from order_app.domain import LineRequest, OrderRequest
from order_app.models import IdempotencyKey, Saga
from tests.order.conftest import client_of
from tests.order.given import a_product, coupon_restored, reduced, stock_restored, use_failed, used
from tests.order.test_api_place import URL, line, place
from tests.plans import FEW, explained, fill, same_plans_on_old_rows

pytestmark = pytest.mark.django_db(transaction=True)

GROWING = {
    "order_app_order",
    "order_app_orderline",
    "order_app_saga",
    "order_app_sagastep",
    "order_app_sagahistory",
    "order_app_idempotencykey",
    "messaging_inbox",
}
PLACES = {("product.events", 0): 0, ("coupon.events", 0): 0}


def placed(count: int, product_id: UUID, user_id: UUID) -> list[UUID]:
    """Place so many orders in one transaction, as a batch of requests would."""
    request = OrderRequest(user_id, (LineRequest(product_id, 2),), uuid4())
    with transaction.atomic():
        return [each.id for each in services.place_orders(requests=[request] * count)]


def consume(events: Sequence[Event]) -> None:
    """Handle events as the consumer does: positions locked before, moved after."""
    with transaction.atomic():
        positions.lock("order", PLACES)
        positions.move("order", PLACES)
    deliver(*events)


def by_http(product_id: UUID, user_id: UUID) -> None:
    """Place an order twice with one key, and look at it in every way; a customer cancels."""
    client = client_of(user_id)
    first, second = (place(client, {"lines": [line(product_id)]}, key="again") for _ in range(2))
    assert (first.status_code, first.json()) == (202, second.json())
    address = first["Location"]
    assert [client.get(each).status_code for each in (URL, address, f"{address}/saga")] == [200] * 3
    assert client.post(f"{address}/cancel").status_code == 202


def timers() -> None:
    """Let every deadline pass and every undo be due."""
    now = timezone.now() + timedelta(hours=2)
    running = list(Saga.objects.filter(status="RUNNING", deadline__lte=now).values_list("order_id", flat=True)[:5])
    with transaction.atomic():
        services.cancel_overdue(order_ids=running, end_offsets=PLACES, now=now)
        services.ask_undo_again(order_ids=running, now=now)
    Saga.objects.filter(undo_next_at__isnull=False).update(undo_next_at=now - timedelta(days=1))
    tasks.ask_undo_again()
    forget_published()


def hot_path() -> None:
    """Everything that is run for orders: placing, answers of every kind, one by one too, canceling, timers."""
    product_id, user_id = a_product(), uuid4()
    by_http(product_id, user_id)
    order_ids = placed(20, product_id, user_id)
    consume([reduced(order_id) for order_id in order_ids])
    consume([used(order_id) for order_id in order_ids[:10]])
    consume([use_failed(order_id) for order_id in order_ids[10:]])
    consume([event for order_id in order_ids[10:] for event in (stock_restored(order_id), coupon_restored(order_id))])
    single = placed(1, product_id, user_id)[0]
    deliver(reduced(single), used(single), singly=True)
    placed(5, product_id, user_id)
    timers()


def full_batches() -> None:
    """As many answers in one batch as a poll may give."""
    order_ids = placed(500, a_product(), uuid4())
    consume([reduced(order_id) for order_id in order_ids])
    consume([event for order_id in order_ids[:250] for event in (used(order_id), reduced(order_id))])
    consume([use_failed(order_id) for order_id in order_ids[250:]])


def test_the_hot_path_of_orders_has_the_same_plans_over_a_long_past() -> None:
    same_plans_on_old_rows("order", hot_path, GROWING, full_batches)


def test_a_statement_that_reads_a_growing_table_whole_would_be_seen() -> None:
    fill("order", FEW)
    with explained() as plans:
        list(Saga.objects.filter(canceled_by="nobody"))

    assert [found.split(":")[0] for found in plans.read_whole(GROWING)] == ["Seq Scan on order_app_saga"]


def test_a_statement_that_takes_another_way_would_be_seen() -> None:
    fill("order", FEW)
    ways = []
    for setting in ("on", "off"):
        with connection.cursor() as cursor:
            cursor.execute(f"SET enable_indexscan = {setting}")
        with explained() as plans:
            list(Saga.objects.filter(order_id=UUID(int=1)))
        ways.append(plans)
    with connection.cursor() as cursor:
        cursor.execute("RESET enable_indexscan")

    assert ways[0].differences(ways[0], GROWING) == []
    assert len(ways[1].differences(ways[0], GROWING)) == 1


def test_a_statement_that_grows_dearer_with_its_index_would_be_seen() -> None:
    found = []
    for orders in (200, FEW):
        fill("order", orders)
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
        with explained() as plans:
            list(IdempotencyKey.objects.filter(key="without the user, who stands first in the index").values("user_id"))
        found.append(plans)
    with connection.cursor() as cursor:
        cursor.execute("RESET enable_seqscan")

    assert len(found[1].dearer(found[0])) == 1
    assert found[1].read_whole(GROWING) == found[1].differences(found[0], GROWING) == []
