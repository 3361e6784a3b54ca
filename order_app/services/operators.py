"""What operators may do to sagas. Each call writes one row to the audit log: who, what, why, targets and results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from messaging import ReasonMissing, Result
from order_app.domain import Outcome, SagaState, SagaStatus
from order_app.models import OperatorAction
from order_app.saga_changes import Changes
from order_app.sql import SagaRow, lock_sagas

BY_OPERATOR = "canceled_by_operator"
#: Events name an operator so, since other services read them. Only the history and the audit log have the name.
OPERATOR = "operator"


@dataclass(frozen=True)
class Verb:
    """One action of operators, and the function of the domain that decides it."""

    name: str
    decide: Callable[[SagaState], Outcome]


def compensate(*, order_ids: Sequence[UUID], actor: str, reason: str, now: datetime | None = None) -> list[Result]:
    """Cancel orders, so that each service undoes its step. ReasonMissing without a reason."""
    return _act(_COMPENSATE, order_ids, actor, reason, now)


def request_again(*, order_ids: Sequence[UUID], actor: str, reason: str, now: datetime | None = None) -> list[Result]:
    """Publish OrderCreated of running sagas again; answers stay the same. ReasonMissing without a reason."""
    return _act(_REQUEST_AGAIN, order_ids, actor, reason, now)


def resolve_by_hand(*, order_ids: Sequence[UUID], actor: str, reason: str, now: datetime | None = None) -> list[Result]:
    """Waive the missing undo answers; the undo requests continue. ReasonMissing without a reason."""
    return _act(_RESOLVE, order_ids, actor, reason, now)


def _cancel(state: SagaState) -> Outcome:
    return state.on_cancel(reason=BY_OPERATOR, actor=OPERATOR)


_COMPENSATE = Verb("compensate", _cancel)
_REQUEST_AGAIN = Verb("request again", SagaState.on_request_again)
_RESOLVE = Verb("resolve by hand", SagaState.on_resolve)


def _act(verb: Verb, order_ids: Sequence[UUID], actor: str, reason: str, now: datetime | None) -> list[Result]:
    if not reason.strip():
        raise ReasonMissing("Give a reason: it is stored in the audit log and shown in the saga's history.")
    changes = Changes(now or timezone.now())
    results = {order_id: Result((str(order_id),), "unknown", "this order does not exist") for order_id in order_ids}
    for row in lock_sagas(order_ids).values():
        before = row.state.saga_status
        outcome = verb.decide(row.state)
        changes.add(row, outcome, actor=f"{OPERATOR}:{actor}", note=reason)
        results[row.id] = _result(row, before, outcome)
    changes.update()
    _note(verb, actor, reason, list(results.values()), changes.now)
    return list(results.values())


def _result(row: SagaRow, before: SagaStatus, outcome: Outcome) -> Result:
    target = (str(row.id),)
    if outcome.refused:
        return Result(target, "refused", outcome.refused)
    if not outcome.changed:
        return Result(target, "unchanged", f"the saga is already {before}")
    return Result(target, "done", f"{before} → {row.state.saga_status}")


def _note(verb: Verb, actor: str, reason: str, results: Sequence[Result], now: datetime) -> None:
    rows = [{"order_id": each.target[0], "outcome": each.outcome, "detail": each.detail} for each in results]
    targets = [row["order_id"] for row in rows]
    OperatorAction.objects.create(actor=actor, verb=verb.name, reason=reason, targets=targets, results=rows, at=now)
