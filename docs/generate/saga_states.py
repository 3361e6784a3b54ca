"""The saga's states as they are reached: every answer and every command is tried in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from order_app.domain import (
    Answer,
    Command,
    Draft,
    Guard,
    Kind,
    Outcome,
    SagaState,
    UndoPolicy,
    start_saga,
    steps,
)

NOBODY = UUID(int=0)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = UndoPolicy(first=timedelta(0), cap=timedelta(0), budget=timedelta(0))
HOLDS = Guard(
    deadline_passed=True, end_offsets_passed=True, outbox_empty=True, nothing_unhandled=True, request_read=True
)

CAUSES = {
    Kind.SUCCESS: "success",
    Kind.FAILURE: "failure",
    Kind.RESTORED: "restored",
    Command.CANCEL: "cancel",
    Command.DEADLINE: "deadline",
    Command.BUDGET_SPENT: "undo budget spent",
    Command.RESOLVE: "resolved by hand",
}

Event = tuple[str, Callable[[SagaState], Outcome]]


class Transition(NamedTuple):
    """One arrow; `of` is "order", "saga" or "step"."""

    of: str
    source: str
    target: str
    cause: str


def transitions() -> list[Transition]:
    """Return every transition of orders, sagas and steps that can happen, each once, in the order of discovery."""
    found: dict[Transition, None] = {}
    for draft in (_draft(None), _draft(NOBODY)):
        for transition in _explore(start_saga(NOBODY, draft)[0]):
            found[transition] = None
    return list(found)


def _draft(coupon_id: UUID | None) -> Draft:
    return Draft(user_id=NOBODY, lines=(), coupon_id=coupon_id, total=Decimal(0), currency="USD")


def _explore(start: SagaState) -> Iterator[Transition]:
    seen, waiting = {_identity(start)}, [start]
    while waiting:
        state = waiting.pop(0)
        for cause, act in _events():
            after = deepcopy(state)
            outcome = act(after)
            yield from _of(state, after, outcome, cause)
            if _identity(after) not in seen:
                seen.add(_identity(after))
                waiting.append(after)


def _identity(state: SagaState) -> tuple[object, ...]:
    return (state.order_status, state.saga_status, *(step.status for step in state.steps.values()))


def _events() -> Iterator[Event]:
    for step in steps.STEPS:
        for kind in Kind:
            answer = Answer(step, kind, restored=True)
            yield CAUSES[kind], lambda state, answer=answer: state.on_answer(answer)  # type: ignore[misc]
    yield CAUSES[Command.CANCEL], lambda state: state.on_cancel(reason="", actor="")
    yield CAUSES[Command.DEADLINE], lambda state: state.on_deadline(HOLDS)
    yield CAUSES[Command.BUDGET_SPENT], _spend_budget
    yield CAUSES[Command.RESOLVE], SagaState.on_resolve


def _spend_budget(state: SagaState) -> Outcome:
    state.undo_asked_at = NOW
    return state.on_undo_due(now=NOW, policy=POLICY)


def _of(before: SagaState, after: SagaState, outcome: Outcome, cause: str) -> Iterator[Transition]:
    if before.order_status is not after.order_status:
        yield Transition("order", before.order_status, after.order_status, cause)
    for entry in outcome.entries:
        if entry.from_status != entry.to_status:
            yield Transition("step" if entry.step else "saga", entry.from_status, entry.to_status, cause)
