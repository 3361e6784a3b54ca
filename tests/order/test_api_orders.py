"""Looking at orders, canceling them, and the saga's timeline: who sees what, who may do what."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from contracts.order import OrderCanceled
from messaging import TransientError
from messaging.models import ConsumerPosition, GroupMember, InboxRow, OutboxRow
from messaging.testing import deliver, forget_published, published
from order_app import services
from order_app.models import OperatorAction, Saga, SagaHistory
from tests.order.given import (
    a_confirmed_order,
    an_order,
    coupon_restored,
    reduce_failed,
    reduced,
    shape,
    stock_restored,
)

pytestmark = pytest.mark.django_db(transaction=True)


def url(order_id: object, what: str = "") -> str:
    """Return the address of an order."""
    return f"/api/v1/orders/{order_id}{what}"


def test_a_customer_sees_only_their_own_orders_newest_first(
    customer: APIClient, stranger: APIClient, user_id: UUID
) -> None:
    mine = [an_order(user_id=user_id) for _ in range(3)]
    an_order()
    body = customer.get("/api/v1/orders").json()
    assert [order["id"] for order in body["results"]] == [str(order_id) for order_id in reversed(mine)]
    assert body["count"] == 3
    assert stranger.get("/api/v1/orders").json()["count"] == 0


def test_orders_are_filtered_by_status_and_paged(customer: APIClient, user_id: UUID) -> None:
    confirmed = a_confirmed_order(user_id=user_id)
    for _ in range(2):
        an_order(user_id=user_id)
    body = customer.get("/api/v1/orders", {"status": "CONFIRMED"}).json()
    assert [order["id"] for order in body["results"]] == [str(confirmed)]
    body = customer.get("/api/v1/orders", {"page_size": 2}).json()
    assert (len(body["results"]), body["count"]) == (2, 3)


def test_staff_sees_all_orders_and_may_pick_a_user(staff: APIClient, user_id: UUID) -> None:
    mine = an_order(user_id=user_id)
    an_order()
    assert staff.get("/api/v1/orders").json()["count"] == 2
    body = staff.get("/api/v1/orders", {"user_id": str(user_id)}).json()
    assert [order["id"] for order in body["results"]] == [str(mine)]


def test_a_customer_can_not_pick_another_user(customer: APIClient) -> None:
    an_order(user_id=(other := uuid4()))
    assert customer.get("/api/v1/orders", {"user_id": str(other)}).json()["count"] == 0


@pytest.mark.parametrize("query", [{"status": "LOST"}, {"user_id": "x"}])
def test_a_bad_filter_is_a_400(staff: APIClient, query: dict[str, str]) -> None:
    response = staff.get("/api/v1/orders", query)
    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")


@pytest.mark.parametrize("what", ["", "/saga", "/cancel"])
def test_another_users_order_is_not_found_and_neither_is_none(customer: APIClient, what: str) -> None:
    for order_id in (an_order(), uuid4(), "x"):
        response = customer.post(url(order_id, what)) if what == "/cancel" else customer.get(url(order_id, what))
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_staff_sees_any_order(staff: APIClient) -> None:
    order_id = an_order()
    assert staff.get(url(order_id)).json()["id"] == str(order_id)
    assert staff.get(url(order_id, "/saga")).status_code == 200


def test_a_customer_cancels_a_confirmed_order_and_everything_is_undone(customer: APIClient, user_id: UUID) -> None:
    order_id = a_confirmed_order(user_id=user_id)
    response = customer.post(url(order_id, "/cancel"))
    assert (response.status_code, response.json()["status"]) == (202, "CANCELED")
    assert response.json()["reason"] == "canceled_by_customer"
    (event,) = published(OrderCanceled)
    assert event.actor == str(user_id)
    deliver(stock_restored(order_id), coupon_restored(order_id))
    assert shape(order_id) == ("CANCELED", "COMPENSATED", {"stock": "UNDONE", "coupon": "UNDONE"})
    assert not OperatorAction.objects.exists()


def test_a_cancel_again_gets_the_same_answer_and_does_nothing_more(customer: APIClient, user_id: UUID) -> None:
    order_id = an_order(user_id=user_id)
    first, again = customer.post(url(order_id, "/cancel")), customer.post(url(order_id, "/cancel"), {"reason": "x"})
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(published(OrderCanceled)) == 1


def test_staff_cancels_any_order_with_a_reason_that_is_kept(staff: APIClient) -> None:
    order_id = an_order()
    response = staff.post(url(order_id, "/cancel"), {"reason": "fraud"})
    assert (response.status_code, response.json()["reason"]) == (202, "canceled_by_operator")
    action = OperatorAction.objects.get()
    assert (action.verb, action.reason, action.targets) == ("compensate", "fraud", [str(order_id)])
    assert set(SagaHistory.objects.filter(saga_id=order_id, note="fraud").values_list("actor", flat=True)) == {
        f"operator:{action.actor}"
    }
    assert published(OrderCanceled)[0].actor == "operator"


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}])
def test_staff_without_a_reason_cancels_nothing(staff: APIClient, body: dict[str, str]) -> None:
    order_id = an_order()
    response = staff.post(url(order_id, "/cancel"), body)
    assert (response.status_code, response.json()["code"]) == (422, "reason_missing")
    assert shape(order_id)[0] == "PENDING"
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize("body", [{"reason": "x" * 1001}, {"reason": "a\x00b"}, {"reason": []}, [], "x"])
def test_a_cancel_with_a_bad_body_is_a_400(customer: APIClient, user_id: UUID, body: object) -> None:
    order_id = an_order(user_id=user_id)
    response = customer.post(url(order_id, "/cancel"), body, format="json")
    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")
    assert shape(order_id)[0] == "PENDING"


def test_the_timeline_tells_what_happened(customer: APIClient, user_id: UUID) -> None:
    order_id = an_order(user_id=user_id, coupon=False)
    deliver(reduce_failed(order_id))
    body = customer.get(url(order_id, "/saga")).json()
    assert body["status"] == "COMPENSATING"
    assert body["steps"] == [
        {"name": "stock", "status": "UNDOING", "attempts": 1},
        {"name": "coupon", "status": "SKIPPED", "attempts": 0},
    ]
    assert [(row["event"], row["step"], row["from"], row["to"], row["actor"]) for row in body["history"]] == [
        ("order.OrderCreated.v1", "", "", "RUNNING", "customer"),
        ("product.StockReduceFailed.v1", "stock", "PENDING", "FAILED", "product"),
        ("order.OrderCanceled.v1", "", "RUNNING", "COMPENSATING", "product"),
        ("order.OrderCanceled.v1", "stock", "FAILED", "UNDOING", "product"),
    ]
    assert all(row["at"] for row in body["history"])
    assert body["deadline"]


def test_a_customer_does_not_learn_which_operator_it_was(customer: APIClient, staff: APIClient, user_id: UUID) -> None:
    order_id = an_order(user_id=user_id)
    staff.post(url(order_id, "/cancel"), {"reason": "fraud"})
    actors = {row["actor"] for row in customer.get(url(order_id, "/saga")).json()["history"]}
    assert actors == {"customer", "operator"}


def waits(client: APIClient, order_id: UUID) -> list[str]:
    """Return what the saga waits for, as the API tells it."""
    waiting: list[str] = client.get(url(order_id, "/saga")).json()["waiting_for"]
    return waiting


def test_the_timeline_says_what_it_waits_for(staff: APIClient) -> None:
    order_id = an_order()
    assert waits(staff, order_id)[0] == "stock: the order service's request has not reached Kafka yet"
    OutboxRow.objects.update(refused="it is too large")
    assert waits(staff, order_id)[0] == "stock: Kafka does not take the order service's request: it is too large"
    forget_published()
    assert waits(staff, order_id) == [
        "stock: no answer from product yet; the saga waits for its answer",
        "coupon: no answer from coupon yet; the saga waits for its answer",
    ]
    deliver(reduced(order_id))
    assert [text.split(":")[0] for text in waits(staff, order_id)] == ["coupon"]
    InboxRow.objects.create(
        event_id="x", handler="h", topic="coupon.events", partition=0, offset=1, key=str(order_id), state="dead"
    )
    assert "could not handle an answer" in waits(staff, order_id)[0]


def fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let our handling of answers fail."""

    def apply_answers(**_: object) -> None:
        raise error

    monkeypatch.setattr(services, "apply_answers", apply_answers)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TransientError("the till is jammed"), "its answer is parked in the order service after 3 attempts"),
        (ZeroDivisionError("by nought"), "its answer is a dead letter in the order service after 3 attempts"),
    ],
)
def test_the_timeline_says_that_an_answer_is_parked_here_and_why_to_staff_alone(
    staff: APIClient, customer: APIClient, user_id: UUID, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    order_id = an_order(user_id=user_id)
    forget_published()
    fails(monkeypatch, error)
    deliver(reduced(order_id), stock_restored(order_id), singly=True)
    monkeypatch.undo()
    staff_sees, customer_sees = waits(staff, order_id)[0], waits(customer, order_id)[0]
    assert staff_sees.startswith(f"stock: {words}: ")
    assert str(error) in staff_sees
    assert staff_sees.endswith("(1 more behind it)")
    assert customer_sees == f"stock: {words} (1 more behind it)"
    forget_published()
    assert waits(staff, order_id)[1] == "coupon: no answer from coupon yet; the saga waits for its answer"


def we_are_at(topic: str, partition: int, offset: int, *, stopped: str | None = None) -> None:
    """Set our own position in a partition."""
    place = {"consumer_group": "order", "topic": topic, "partition": partition}
    ConsumerPosition.objects.update_or_create(**place, defaults={"next_offset": offset, "stopped_reason": stopped})


def test_a_partition_of_ours_that_is_stopped_is_told_and_its_error_to_staff_only(
    staff: APIClient, customer: APIClient, user_id: UUID
) -> None:
    order_id = an_order(user_id=user_id)
    forget_published()
    we_are_at("product.events", 2, 5, stopped="KeyError: 'x'")
    assert waits(staff, order_id) == [
        "stock: the order service's consumer is stopped at product.events/2 (KeyError: 'x'); the answer may be there",
        "coupon: no answer from coupon yet; the saga waits for its answer",
    ]
    assert waits(customer, order_id)[0] == (
        "stock: the order service's consumer is stopped at product.events/2; the answer may be there"
    )


def test_what_our_consumer_has_not_read_is_told_after_the_deadline(staff: APIClient) -> None:
    order_id = an_order()
    forget_published()
    Saga.objects.update(guard_offsets={"product.events/0": 7, "coupon.events/0": 3})
    we_are_at("product.events", 0, 6)
    we_are_at("coupon.events", 0, 3)
    assert waits(staff, order_id) == [
        "stock: the order service has not read product.events/0 up to 7 yet; the deadline waits for that",
        "coupon: no answer from coupon yet; the saga waits for its answer",
    ]


def test_a_request_that_a_participant_is_not_given_is_told_and_the_stranger_to_staff_only(
    staff: APIClient, customer: APIClient, user_id: UUID
) -> None:
    order_id = an_order(user_id=user_id)
    forget_published()
    Saga.objects.update(guard_offsets={"product.events/0": 0, "coupon.events/0": 0, "order.events/3": 7})
    seen = {"member_id": "m", "worker": "", "client_id": "console", "host": "10.0.0.1", "seen_at": timezone.now()}
    GroupMember.objects.create(consumer_group="product", partitions=["order.events/3"], **seen)
    GroupMember.objects.create(consumer_group="coupon", partitions=["order.events/4"], **seen)
    waits_until = "the deadline waits until {} has read order.events/3 up to 7"
    assert waits(staff, order_id) == [
        "stock: a foreign member of product's consumer group has order.events/3 (client id console, host 10.0.0.1); "
        + waits_until.format("product"),
        "coupon: no answer from coupon yet; the saga waits for its answer",
    ]
    assert waits(customer, order_id)[0] == (
        "stock: a foreign member of product's consumer group has order.events/3; " + waits_until.format("product")
    )
    # When the stranger has left, or nobody has the partition
    GroupMember.objects.filter(consumer_group="product").delete()
    assert waits(staff, order_id)[0] == "stock: " + waits_until.format("product")


def test_a_finished_saga_waits_for_nothing(staff: APIClient) -> None:
    order_id = a_confirmed_order()
    forget_published()
    assert waits(staff, order_id) == []
