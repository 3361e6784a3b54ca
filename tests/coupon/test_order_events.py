"""How orders are answered, on the real database."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from coupon_app import services
from coupon_app.models import Coupon, CouponDecision
from messaging import TransactionRequired
from messaging.models import OutboxRow
from tests.coupon.given import (
    NOW,
    USER,
    a_campaign,
    a_coupon,
    answers,
    canceled,
    created,
    delivery,
    exhaust,
    handle,
    words,
)

pytestmark = pytest.mark.django_db


def state(coupon: Coupon) -> tuple[str, object]:
    coupon.refresh_from_db()
    return coupon.status, coupon.order_id


def test_a_good_coupon_is_used_and_its_discount_told():
    coupon = a_coupon(a_campaign(value=Decimal(15)))
    order = created(coupon.id, total=Decimal(9_990))

    handle(order)

    assert answers(order.order_id) == [("CouponUsed", {"coupon_id": str(coupon.id), "discount": "1499"})]
    assert state(coupon) == ("USED", order.order_id)
    row = CouponDecision.objects.get(order_id=order.order_id)
    assert (row.decision, row.reason, row.discount, row.currency, row.at) == ("HELD", "", 1499, "KRW", NOW)


def test_an_order_without_a_coupon_gets_no_row_and_no_answer():
    order = created(None)
    handle(order, canceled(order))
    exhaust(order)
    assert not CouponDecision.objects.exists()
    assert not OutboxRow.objects.exists()


@pytest.mark.parametrize(
    ("campaign", "order", "reason"),
    [
        ({}, {"user_id": uuid4()}, "not_owner"),
        ({}, {"created_at": NOW - timedelta(days=2)}, "not_yet_valid"),
        ({}, {"created_at": NOW + timedelta(days=1)}, "expired"),
        ({"kind": "amount", "currency": "USD"}, {}, "currency_mismatch"),
        ({"minimum_order": Decimal(10_001), "currency": "KRW"}, {}, "below_minimum"),
        ({"value": Decimal("0.0001")}, {}, "no_discount"),
        ({}, {"total": Decimal(0)}, "no_discount"),
        ({"kind": "amount", "currency": "KRW"}, {"total": Decimal(0)}, "no_discount"),
    ],
)
def test_a_coupon_that_cannot_be_used_is_refused_with_the_reason(campaign, order, reason):
    coupon = a_coupon(a_campaign(**campaign))
    order = created(coupon.id, **order)

    handle(order)

    assert answers(order.order_id) == [("CouponUseFailed", {"coupon_id": str(coupon.id), "reason": reason})]
    assert state(coupon) == ("AVAILABLE", None)


def test_an_unknown_coupon_is_refused():
    order = created(uuid4())
    handle(order)
    assert words(order.order_id) == ["unknown_coupon"]


def test_validity_is_judged_when_the_order_was_created_not_when_it_is_handled():
    coupon = a_coupon(a_campaign(valid_from=NOW - timedelta(days=9), valid_until=NOW - timedelta(days=5)))
    order = created(coupon.id, created_at=NOW - timedelta(days=6))
    handle(order)
    assert words(order.order_id) == ["used"]


def test_the_same_event_a_hundred_times_uses_the_coupon_once_and_answers_alike():
    coupon = a_coupon()
    order = created(coupon.id)
    handle(*[order] * 60)
    for _ in range(40):
        handle(order)
    assert len(answers(order.order_id)) == 100
    assert {str(answer) for answer in answers(order.order_id)} == {str(answers(order.order_id)[0])}
    assert CouponDecision.objects.count() == 1


def test_the_answer_from_the_row_is_the_one_first_given_to_the_last_digit():
    coupon = a_coupon(a_campaign(value=Decimal(10)))
    order = created(coupon.id, currency="USD", total=Decimal("12.00"))
    handle(order)
    handle(order)
    assert [data["discount"] for _, data in answers(order.order_id)] == ["1.20", "1.20"]


def test_one_coupon_for_two_orders_of_one_batch_goes_to_the_first():
    coupon = a_coupon()
    first, second = created(coupon.id), created(coupon.id)

    handle(first, second)

    assert (words(first.order_id), words(second.order_id)) == (["used"], ["already_used"])
    assert state(coupon) == ("USED", first.order_id)


def test_a_coupon_given_back_is_used_by_a_third_order_but_never_again_by_the_second():
    coupon = a_coupon()
    first, second, third = (created(coupon.id) for _ in range(3))
    handle(first, second)

    handle(canceled(first))
    handle(second, third)

    assert words(first.order_id) == ["used", "restored"]
    assert words(second.order_id) == ["already_used", "already_used"]
    assert words(third.order_id) == ["used"]
    assert state(coupon) == ("USED", third.order_id)


def test_all_that_happens_within_one_batch_too():
    coupon = a_coupon()
    first, second = created(coupon.id), created(coupon.id)

    handle(first, first, canceled(first), first, second, canceled(first))

    assert words(first.order_id) == ["used", "used", "restored", "order_canceled", "restored"]
    assert words(second.order_id) == ["used"]
    assert state(coupon) == ("USED", second.order_id)


def test_a_cancel_that_comes_first_lets_nothing_be_taken_later():
    coupon = a_coupon()
    order = created(coupon.id)
    handle(canceled(order), order)
    handle(order, canceled(order))
    assert words(order.order_id) == ["nothing restored", "order_canceled", "order_canceled", "nothing restored"]
    assert state(coupon) == ("AVAILABLE", None)


def test_retries_exhausted_refuses_for_good():
    coupon = a_coupon()
    order = created(coupon.id)
    exhaust(order)
    handle(order, canceled(order))
    assert words(order.order_id) == ["retries_exhausted", "retries_exhausted", "nothing restored"]
    assert state(coupon) == ("AVAILABLE", None)


def test_retries_exhausted_on_an_order_that_holds_its_coupon_tells_so_again():
    coupon = a_coupon()
    order = created(coupon.id)
    handle(order)
    exhaust(order)
    assert words(order.order_id) == ["used", "used"]
    assert state(coupon) == ("USED", order.order_id)


def test_only_the_coupon_of_the_decision_row_goes_back_whatever_an_edited_cancel_says():
    coupon, other = a_coupon(), a_coupon()
    order, of_other = created(coupon.id), created(other.id)
    handle(order, of_other)

    handle(canceled(created(other.id, order_id=order.order_id)))

    assert state(coupon) == ("AVAILABLE", None)
    assert state(other) == ("USED", of_other.order_id)


def test_an_edited_repetition_takes_no_second_coupon():
    coupon, other = a_coupon(), a_coupon()
    order = created(coupon.id)
    handle(order, created(other.id, order_id=order.order_id))
    assert [data["coupon_id"] for _, data in answers(order.order_id)] == [str(coupon.id)] * 2
    assert state(other) == ("AVAILABLE", None)


def test_answers_name_the_event_that_led_to_them():
    order = created(a_coupon().id)
    asked = delivery(order)
    with transaction.atomic():
        services.answer_orders(deliveries=[asked], now=NOW)
    row = OutboxRow.objects.get(topic="coupon.events")
    assert (row.causation_id, row.correlation_id, row.key) == (asked.context.event_id, *[str(order.order_id)] * 2)


def test_a_batch_of_any_size_takes_the_same_few_statements(django_assert_num_queries):
    orders = [created(a_coupon().id) for _ in range(20)]
    with django_assert_num_queries(5 + 2):  # decisions twice, coupons twice, outbox; the test's savepoint
        handle(*orders)


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction_nothing_is_decided():
    coupon = a_coupon()
    with pytest.raises(TransactionRequired):
        services.answer_orders(deliveries=[delivery(created(coupon.id))], now=NOW)
    assert not CouponDecision.objects.exists()


def test_the_database_itself_keeps_a_coupon_from_being_half_used():
    coupon = a_coupon()
    with pytest.raises(IntegrityError), transaction.atomic():
        Coupon.objects.filter(id=coupon.id).update(status="USED")
    used = a_coupon()
    handle(order := created(used.id))
    with pytest.raises(IntegrityError), transaction.atomic():
        Coupon.objects.filter(id=coupon.id).update(status="USED", order_id=order.order_id)
    assert used.user_id == USER
