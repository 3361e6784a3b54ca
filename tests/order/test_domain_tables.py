"""The coordinator's decision tables, cell by cell, as the saga's specification has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from contracts import order
from messaging.event import spec_of
from order_app.domain import (
    ANSWERS,
    COMMANDS,
    Action,
    Answer,
    Command,
    Guard,
    Kind,
    OrderStatus,
    Publication,
    SagaState,
    SagaStatus,
    StepState,
    StepStatus,
    UndoPolicy,
    steps,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOTAL = Decimal("20.00")
POLICY = UndoPolicy(first=timedelta(seconds=30), cap=timedelta(seconds=100), budget=timedelta(seconds=200))
STOCK, COUPON = steps.STEPS
HOLDS = Guard(
    deadline_passed=True, end_offsets_passed=True, outbox_empty=True, nothing_unhandled=True, request_read=True
)
ORDER_OF = {SagaStatus.RUNNING: OrderStatus.PENDING, SagaStatus.COMPLETED: OrderStatus.CONFIRMED}
FINISHED = {SagaStatus.COMPLETED: StepStatus.DONE, SagaStatus.COMPENSATED: StepStatus.UNDONE}
OPEN = {
    SagaStatus.RUNNING: StepStatus.PENDING,
    SagaStatus.COMPENSATING: StepStatus.UNDOING,
    SagaStatus.STUCK: StepStatus.UNDOING,
    SagaStatus.BY_HAND: StepStatus.WAIVED,
}


def a_saga(saga: SagaStatus, stock: str, coupon: str, *, succeeded: bool = False) -> SagaState:
    """Return a saga in these states."""
    states = {"stock": StepState(StepStatus(stock), succeeded), "coupon": StepState(StepStatus(coupon))}
    return SagaState(uuid4(), ORDER_OF.get(saga, OrderStatus.CANCELED), saga, states, total=TOTAL)


def typical(saga: SagaStatus) -> SagaState:
    """Return a saga of this status, its steps as they then are."""
    status = (OPEN | FINISHED)[saga]
    return a_saga(saga, status, status)


def says(kind: Kind, *, restored: bool = True, reason: str = "out_of_stock") -> Answer:
    """Return product's answer."""
    return Answer(STOCK, kind, reason=reason, restored=restored)


def shape(state: SagaState) -> tuple[str, str, str, str]:
    """Return the states of order, saga, stock step and coupon step."""
    return (state.order_status, state.saga_status, state.steps["stock"].status, state.steps["coupon"].status)


def test_what_the_coordinator_publishes_are_the_events_of_its_contract() -> None:
    contract = {event: spec_of(getattr(order, f"Order{event.name.title()}")).type for event in Publication}

    assert contract == {event: event.value for event in Publication}


def test_every_cell_is_there() -> None:
    decided = {(status, kind) for status in StepStatus if status is not StepStatus.FAILED for kind in Kind}
    assert set(ANSWERS) == decided
    assert set(COMMANDS) == {(status, command) for status in SagaStatus for command in Command}


#: The specification's table of commands, a line for each saga: cancel, deadline, budget, undo, request, resolve.
SPECIFIED = """
RUNNING             cancel cancel - - again   refused
COMPLETED           cancel -      - - refused refused
COMPENSATING        accept -  stuck again refused refused
COMPENSATION_STUCK  accept -      - again refused by-hand
BY_HAND             accept -      - again refused refused
COMPENSATED         accept -      - - refused refused
"""
WORDS = {
    "cancel": {Action.CANCEL},
    "accept": {Action.ACCEPT},
    "-": {Action.IGNORE},
    "stuck": {Action.STICK},
    "again": {Action.UNDO_AGAIN, Action.REQUEST_AGAIN},
    "refused": {Action.REFUSE},
    "by-hand": {Action.BY_HAND},
}


@pytest.mark.parametrize("line", SPECIFIED.strip().splitlines())
def test_every_command_does_what_the_specification_says(line: str) -> None:
    status, *words = line.split()
    for command, word in zip(Command, words, strict=True):
        assert COMMANDS[SagaStatus(status), command] in WORDS[word], command


def test_a_success_makes_a_pending_step_done_and_the_last_one_confirms_the_order() -> None:
    state = a_saga(SagaStatus.RUNNING, "PENDING", "PENDING")
    first = state.on_answer(says(Kind.SUCCESS))
    assert shape(state) == ("PENDING", "RUNNING", "DONE", "PENDING")
    assert first.publish == []
    last = state.on_answer(Answer(COUPON, Kind.SUCCESS, discount=Decimal("3.50")))
    assert shape(state) == ("CONFIRMED", "COMPLETED", "DONE", "DONE")
    assert last.publish == [Publication.CONFIRMED]
    assert state.discount == Decimal("3.50")


@pytest.mark.parametrize("discount", ["NaN", "sNaN", "Infinity", "-Infinity", "-0.01", "20.01"])
def test_a_discount_that_can_not_be_given_is_flagged_and_confirms_nothing(discount: str) -> None:
    state = a_saga(SagaStatus.RUNNING, "DONE", "PENDING")
    outcome = state.on_answer(Answer(COUPON, Kind.SUCCESS, discount=Decimal(discount)))
    assert shape(state) == ("PENDING", "RUNNING", "DONE", "PENDING")
    assert (state.flagged, state.discount, outcome.publish) == (True, 0, [])
    assert [entry.flagged for entry in outcome.entries] == [True]


@pytest.mark.parametrize("discount", ["0", "20.00"])
def test_a_discount_of_nothing_or_everything_can_be_given(discount: str) -> None:
    state = a_saga(SagaStatus.RUNNING, "DONE", "PENDING")
    state.on_answer(Answer(COUPON, Kind.SUCCESS, discount=Decimal(discount)))
    assert shape(state) == ("CONFIRMED", "COMPLETED", "DONE", "DONE")


def test_a_skipped_step_does_not_keep_an_order_from_being_confirmed() -> None:
    state = a_saga(SagaStatus.RUNNING, "PENDING", "SKIPPED")
    state.on_answer(says(Kind.SUCCESS))
    assert shape(state) == ("CONFIRMED", "COMPLETED", "DONE", "SKIPPED")


@pytest.mark.parametrize("reason", ["out_of_stock", "retries_exhausted", "order_canceled"])
def test_any_failure_of_a_pending_step_is_recorded_and_cancels_every_step_at_once(reason: str) -> None:
    state = a_saga(SagaStatus.RUNNING, "PENDING", "DONE")
    outcome = state.on_answer(says(Kind.FAILURE, reason=reason))
    assert shape(state) == ("CANCELED", "COMPENSATING", "UNDOING", "UNDOING")
    assert (state.reason, state.canceled_by) == (reason, "product")
    assert outcome.publish == [Publication.CANCELED]
    assert [(entry.step, entry.to_status) for entry in outcome.entries] == [
        ("stock", "FAILED"),
        ("", "COMPENSATING"),
        ("stock", "UNDOING"),
        ("coupon", "UNDOING"),
    ]


UNCHANGED = [
    (SagaStatus.RUNNING, "PENDING", Kind.RESTORED, "flag"),
    (SagaStatus.RUNNING, "DONE", Kind.RESTORED, "flag"),
    (SagaStatus.RUNNING, "DONE", Kind.SUCCESS, "nothing"),
    (SagaStatus.COMPLETED, "DONE", Kind.SUCCESS, "nothing"),
    (SagaStatus.RUNNING, "DONE", Kind.FAILURE, "flag"),
    (SagaStatus.COMPLETED, "DONE", Kind.FAILURE, "flag"),
    (SagaStatus.COMPLETED, "DONE", Kind.RESTORED, "flag"),
    (SagaStatus.RUNNING, "SKIPPED", Kind.SUCCESS, "flag"),
    (SagaStatus.COMPLETED, "SKIPPED", Kind.FAILURE, "flag"),
    (SagaStatus.COMPENSATED, "SKIPPED", Kind.RESTORED, "flag"),
    (SagaStatus.COMPENSATING, "UNDOING", Kind.SUCCESS, "record"),
    (SagaStatus.STUCK, "UNDOING", Kind.SUCCESS, "record"),
    (SagaStatus.COMPENSATING, "UNDOING", Kind.FAILURE, "record"),
    (SagaStatus.STUCK, "UNDOING", Kind.FAILURE, "record"),
    (SagaStatus.COMPENSATING, "UNDONE", Kind.SUCCESS, "record"),
    (SagaStatus.COMPENSATING, "UNDONE", Kind.FAILURE, "record"),
    (SagaStatus.COMPENSATING, "UNDONE", Kind.RESTORED, "record"),
    (SagaStatus.STUCK, "UNDONE", Kind.RESTORED, "record"),
    (SagaStatus.BY_HAND, "UNDONE", Kind.SUCCESS, "record"),
    (SagaStatus.BY_HAND, "UNDONE", Kind.RESTORED, "record"),
    (SagaStatus.BY_HAND, "WAIVED", Kind.SUCCESS, "record"),
    (SagaStatus.BY_HAND, "WAIVED", Kind.FAILURE, "record"),
    (SagaStatus.COMPENSATED, "UNDONE", Kind.SUCCESS, "record"),
    (SagaStatus.COMPENSATED, "UNDONE", Kind.FAILURE, "record"),
    (SagaStatus.COMPENSATED, "UNDONE", Kind.RESTORED, "record"),
]


@pytest.mark.parametrize(("saga", "stock", "kind", "effect"), UNCHANGED)
def test_other_answers_change_no_state_and_publish_nothing(
    saga: SagaStatus, stock: str, kind: Kind, effect: str
) -> None:
    state = a_saga(saga, stock, OPEN.get(saga, stock))
    before = shape(state)
    outcome = state.on_answer(says(kind))
    assert shape(state) == before
    assert outcome.publish == []
    assert len(outcome.entries) == (0 if effect == "nothing" else 1)
    assert state.flagged == (effect == "flag")


@pytest.mark.parametrize(("saga", "stock"), [("COMPENSATING", "UNDOING"), ("STUCK", "UNDOING"), ("BY_HAND", "WAIVED")])
def test_the_last_restore_ends_the_saga_however_late(saga: str, stock: str) -> None:
    state = a_saga(SagaStatus[saga], stock, stock)
    state.on_answer(says(Kind.RESTORED))
    assert shape(state)[1:] == (SagaStatus[saga], "UNDONE", stock)
    state.on_answer(Answer(COUPON, Kind.RESTORED, restored=False))
    assert shape(state) == ("CANCELED", "COMPENSATED", "UNDONE", "UNDONE")
    assert not state.flagged


@pytest.mark.parametrize(("saga", "stock"), [("COMPENSATING", "UNDOING"), ("STUCK", "UNDOING"), ("BY_HAND", "WAIVED")])
def test_restored_false_after_a_success_is_flagged_and_still_ends_the_step(saga: str, stock: str) -> None:
    state = a_saga(SagaStatus[saga], stock, "SKIPPED", succeeded=True)
    outcome = state.on_answer(says(Kind.RESTORED, restored=False))
    assert shape(state) == ("CANCELED", "COMPENSATED", "UNDONE", "SKIPPED")
    assert state.flagged
    assert outcome.entries[0].flagged


def test_a_success_that_is_only_recorded_counts_as_a_success_later() -> None:
    state = a_saga(SagaStatus.COMPENSATING, "UNDOING", "SKIPPED")
    state.on_answer(says(Kind.SUCCESS))
    state.on_answer(says(Kind.RESTORED, restored=False))
    assert state.flagged


def test_an_answer_for_a_step_that_the_saga_never_had_is_flagged() -> None:
    state = a_saga(SagaStatus.RUNNING, "PENDING", "PENDING")
    del state.steps["coupon"]
    state.on_answer(Answer(COUPON, Kind.SUCCESS))
    assert state.flagged


@pytest.mark.parametrize("saga", [SagaStatus.RUNNING, SagaStatus.COMPLETED])
def test_a_cancel_asks_every_step_that_was_not_skipped_to_undo(saga: SagaStatus) -> None:
    state = a_saga(saga, (OPEN | FINISHED)[saga], "SKIPPED")
    outcome = state.on_cancel(reason="canceled_by_customer", actor="me")
    assert shape(state) == ("CANCELED", "COMPENSATING", "UNDOING", "SKIPPED")
    assert outcome.publish == [Publication.CANCELED]


def test_a_cancel_with_nothing_to_undo_is_compensated_at_once() -> None:
    state = a_saga(SagaStatus.RUNNING, "SKIPPED", "SKIPPED")
    assert state.on_cancel(reason="x", actor="me").publish == [Publication.CANCELED]
    assert shape(state) == ("CANCELED", "COMPENSATED", "SKIPPED", "SKIPPED")


@pytest.mark.parametrize("saga", ["COMPENSATING", "STUCK", "BY_HAND", "COMPENSATED"])
def test_a_cancel_of_a_canceled_order_changes_nothing(saga: str) -> None:
    state = typical(SagaStatus[saga])
    outcome = state.on_cancel(reason="again", actor="me")
    assert not outcome.changed
    assert (shape(state)[1], state.reason) == (SagaStatus[saga], "")


@pytest.mark.parametrize("saga", list(SagaStatus))
def test_the_deadline_cancels_only_a_running_saga(saga: SagaStatus) -> None:
    state = typical(saga)
    outcome = state.on_deadline(HOLDS)
    assert outcome.changed == (saga is SagaStatus.RUNNING)
    assert state.reason == ("deadline_passed" if saga is SagaStatus.RUNNING else "")


@pytest.mark.parametrize("missing", range(5))
def test_the_deadline_cancels_only_when_every_part_of_its_guard_holds(missing: int) -> None:
    state = typical(SagaStatus.RUNNING)
    guard = Guard(*[number != missing for number in range(5)])
    assert not state.on_deadline(guard).changed
    assert state.saga_status is SagaStatus.RUNNING


@pytest.mark.parametrize("saga", list(SagaStatus))
@pytest.mark.parametrize("spent", [False, True])
def test_the_undo_is_asked_for_again_until_it_is_answered(saga: SagaStatus, spent: bool) -> None:
    state = typical(saga)
    state.undo_asked_at = NOW - (POLICY.budget if spent else timedelta(0))
    outcome = state.on_undo_due(now=NOW, policy=POLICY)
    asked = saga in (SagaStatus.COMPENSATING, SagaStatus.STUCK, SagaStatus.BY_HAND)
    assert outcome.publish == ([Publication.CANCELED] if asked else [])
    alarm = spent and saga is SagaStatus.COMPENSATING
    assert state.saga_status == (SagaStatus.STUCK if alarm else saga)


def test_an_undo_that_has_not_left_us_is_not_sent_twice_but_still_raises_the_alarm() -> None:
    state = typical(SagaStatus.COMPENSATING)
    state.undo_asked_at = NOW - POLICY.budget
    assert state.on_undo_due(now=NOW, policy=POLICY, outbox_empty=False).publish == []
    assert state.saga_status is SagaStatus.STUCK


@pytest.mark.parametrize("saga", list(SagaStatus))
def test_a_request_is_sent_again_only_while_it_may_be_answered(saga: SagaStatus) -> None:
    state = typical(saga)
    before = shape(state)
    outcome = state.on_request_again()
    assert shape(state) == before
    assert outcome.publish == ([Publication.CREATED] if saga is SagaStatus.RUNNING else [])
    assert bool(outcome.refused) == (saga is not SagaStatus.RUNNING)


@pytest.mark.parametrize("saga", list(SagaStatus))
def test_only_a_stuck_saga_is_resolved_by_hand(saga: SagaStatus) -> None:
    state = typical(saga)
    state.steps["coupon"].status = StepStatus.SKIPPED
    outcome = state.on_resolve()
    assert bool(outcome.refused) == (saga is not SagaStatus.STUCK)
    assert outcome.publish == []
    if saga is SagaStatus.STUCK:
        assert shape(state) == ("CANCELED", "BY_HAND", "WAIVED", "SKIPPED")


def test_a_step_that_is_undone_already_is_not_waived() -> None:
    state = a_saga(SagaStatus.STUCK, "UNDONE", "UNDOING")
    state.on_resolve()
    assert shape(state) == ("CANCELED", "BY_HAND", "UNDONE", "WAIVED")
    state.on_answer(Answer(COUPON, Kind.RESTORED))
    assert shape(state) == ("CANCELED", "COMPENSATED", "UNDONE", "UNDONE")


def test_the_wait_before_an_undo_doubles_up_to_the_cap_and_ends_with_the_budget() -> None:
    state = typical(SagaStatus.COMPENSATING)
    waits, now = [], NOW
    state.schedule_undo(now=now, policy=POLICY)
    while state.saga_status is SagaStatus.COMPENSATING:
        assert state.undo_next_at
        waits.append((state.undo_next_at - now).total_seconds())
        now = state.undo_next_at
        state.on_undo_due(now=now, policy=POLICY)
        state.schedule_undo(now=now, policy=POLICY)
    assert waits == [30, 60, 100, 10]
    assert state.undo_next_at == now + POLICY.cap


def test_nothing_is_due_any_more_when_all_is_undone() -> None:
    state = typical(SagaStatus.COMPENSATED)
    state.undo_next_at = NOW
    state.schedule_undo(now=NOW, policy=POLICY)
    assert state.undo_next_at is None
