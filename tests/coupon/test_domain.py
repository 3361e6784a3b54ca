"""The participant's table cell by cell, and the checks of a coupon's use."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from coupon_app.campaigns import Terms
from coupon_app.domain import (
    Coupon,
    OrderDecision,
    Reason,
    Request,
    Use,
    answer,
    find_obstacle,
)
from saga.participant import Answer, Decision, Incoming
from tests.coupon.given import NOW, USER, terms

ORDER, COUPON = uuid4(), uuid4()
USE = Use(USER, Decimal(10_000), "KRW", NOW)


def a_coupon(order_id=None, **changes) -> Coupon:
    return Coupon(user_id=USER, order_id=order_id, terms=terms(**changes))


def a_row(decision: Decision | None) -> OrderDecision:
    row = OrderDecision(COUPON, decision)
    if decision is Decision.REFUSED:
        row.reason = Reason.EXPIRED
    return row


def ask(row: OrderDecision, incoming: Incoming, coupon: Coupon | None) -> Answer:
    use = USE if incoming is Incoming.CREATED else None
    return answer(Request(incoming, ORDER, COUPON, use), row, {COUPON: coupon} if coupon else {})


@pytest.mark.parametrize(
    ("before", "incoming", "after", "said"),
    [
        (None, Incoming.CREATED, Decision.HELD, Answer.TAKEN),
        (None, Incoming.EXHAUSTED, Decision.REFUSED, Answer.REFUSED),
        (None, Incoming.CANCELED, Decision.CANCELED_FIRST, Answer.NOT_RESTORED),
        (Decision.HELD, Incoming.CREATED, Decision.HELD, Answer.TAKEN),
        (Decision.HELD, Incoming.EXHAUSTED, Decision.HELD, Answer.TAKEN),
        (Decision.HELD, Incoming.CANCELED, Decision.RESTORED, Answer.RESTORED),
        (Decision.REFUSED, Incoming.CREATED, Decision.REFUSED, Answer.REFUSED),
        (Decision.REFUSED, Incoming.EXHAUSTED, Decision.REFUSED, Answer.REFUSED),
        (Decision.REFUSED, Incoming.CANCELED, Decision.REFUSED, Answer.NOT_RESTORED),
        (Decision.CANCELED_FIRST, Incoming.CREATED, Decision.CANCELED_FIRST, Answer.CANCELED),
        (Decision.CANCELED_FIRST, Incoming.EXHAUSTED, Decision.CANCELED_FIRST, Answer.CANCELED),
        (Decision.CANCELED_FIRST, Incoming.CANCELED, Decision.CANCELED_FIRST, Answer.NOT_RESTORED),
        (Decision.RESTORED, Incoming.CREATED, Decision.RESTORED, Answer.CANCELED),
        (Decision.RESTORED, Incoming.EXHAUSTED, Decision.RESTORED, Answer.CANCELED),
        (Decision.RESTORED, Incoming.CANCELED, Decision.RESTORED, Answer.RESTORED),
    ],
)
def test_every_cell_of_the_table_is_as_the_saga_says(before, incoming, after, said):
    row = a_row(before)
    coupon = a_coupon(order_id=ORDER if before is Decision.HELD else None)

    assert ask(row, incoming, coupon) is said
    assert row.decision is after


@pytest.mark.parametrize("decision", [None, *Decision])
@pytest.mark.parametrize("incoming", Incoming)
def test_the_coupon_changes_hands_only_when_it_is_taken_and_when_it_is_given_back(decision, incoming):
    held_before = decision is Decision.HELD
    coupon = a_coupon(order_id=ORDER if held_before else None)

    ask(row := a_row(decision), incoming, coupon)

    assert (coupon.order_id == ORDER) is (row.decision is Decision.HELD)


def test_a_coupon_that_cannot_be_used_is_refused_for_good_and_left_alone():
    row, coupon = a_row(None), a_coupon(minimum_order=Decimal(99_999))
    assert ask(row, Incoming.CREATED, coupon) is Answer.REFUSED
    assert (row.decision, row.reason, coupon.order_id) == (Decision.REFUSED, Reason.BELOW_MINIMUM, None)

    coupon.terms = terms()
    assert ask(row, Incoming.CREATED, coupon) is Answer.REFUSED
    assert coupon.order_id is None


def test_retries_exhausted_is_the_reason_only_where_nothing_was_decided_before():
    fresh, refused = a_row(None), a_row(Decision.REFUSED)
    ask(fresh, Incoming.EXHAUSTED, None)
    ask(refused, Incoming.EXHAUSTED, None)
    assert (fresh.reason, refused.reason) == (Reason.RETRIES_EXHAUSTED, Reason.EXPIRED)


def test_a_coupon_that_another_order_uses_by_now_is_not_given_back():
    other = uuid4()
    coupon = a_coupon(order_id=other)
    assert ask(a_row(Decision.HELD), Incoming.CANCELED, coupon) is Answer.RESTORED
    assert coupon.order_id == other


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("reason", "coupon"),
    [
        (Reason.UNKNOWN_COUPON, None),
        (Reason.NOT_OWNER, Coupon(uuid4(), None, terms())),
        (Reason.ALREADY_USED, a_coupon(order_id=uuid4())),
        (Reason.NOT_YET_VALID, a_coupon(valid_from=NOW + timedelta(microseconds=1))),
        (Reason.EXPIRED, a_coupon(valid_until=NOW)),
        (Reason.CURRENCY_MISMATCH, a_coupon(currency="USD")),
        (Reason.BELOW_MINIMUM, a_coupon(minimum_order=Decimal("10000.01"))),
        (Reason.NO_DISCOUNT, a_coupon(value=Decimal("0.0049"))),
        (None, a_coupon(value=Decimal("0.005"))),
        (None, a_coupon(valid_from=NOW, currency="KRW", minimum_order=Decimal(10_000))),
        (None, a_coupon(valid_until=NOW + timedelta(microseconds=1))),
    ],
)
def test_a_coupon_is_refused_for(reason, coupon):
    assert find_obstacle(coupon, USE) == reason


def test_no_coupon_is_used_in_a_currency_whose_minor_unit_nobody_knows():
    assert find_obstacle(a_coupon(), USE._replace(currency="XXX")) is Reason.CURRENCY_MISMATCH


def test_the_first_of_several_obstacles_is_told():
    everything: Terms = terms(currency="USD", minimum_order=Decimal(99_999))
    late = everything._replace(valid_from=NOW - 2 * DAY, valid_until=NOW - DAY)
    early = everything._replace(valid_from=NOW + DAY, valid_until=NOW + 2 * DAY)
    steps = [
        (Coupon(uuid4(), uuid4(), late), Reason.NOT_OWNER),
        (Coupon(USER, uuid4(), late), Reason.ALREADY_USED),
        (Coupon(USER, None, early), Reason.NOT_YET_VALID),
        (Coupon(USER, None, late), Reason.EXPIRED),
        (Coupon(USER, None, everything), Reason.CURRENCY_MISMATCH),
        (Coupon(USER, None, everything._replace(currency=None)), Reason.BELOW_MINIMUM),
    ]
    assert [find_obstacle(coupon, USE) for coupon, _ in steps] == [reason for _, reason in steps]
