"""What operators may do to sagas. Each call is one row in the audit log: who, what, why, to which, with what result."""

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
#: How an operator appears in events, which others may read; only our own history and audit log have the name.
OPERATOR = "operator"


@dataclass(frozen=True)
class Verb:
    """Something that operators may do, and how the domain decides it."""

    name: str
    decide: Callable[[SagaState], Outcome]


def compensate(*, order_ids: Sequence[UUID], actor: str, reason: str, now: datetime | None = None) -> list[Result]:
    """Cancel orders and have everything undone that was done for them. ReasonMissing without a reason."""
    return _act(_COMPENSATE, order_ids, actor, reason, now)


def request_again(*, order_ids: Sequence[UUID], actor: str, reason: str, now: datetime | None = None) -> list[Result]:
    """Send the request of running sagas again; who has answered, answers the same. ReasonMissing without a reason."""
    return _act(_REQUEST_AGAIN, order_ids, actor, reason, now)


def resolve_by_hand(*, order_ids: Sequence[UUID], actor: str, reason: str, now: datetime | None = None) -> list[Result]:
    """Take missing undo answers upon the operator; the requests go on being sent. ReasonMissing without a reason."""
    return _act(_RESOLVE, order_ids, actor, reason, now)


def _cancel(state: SagaState) -> Outcome:
    return state.on_cancel(reason=BY_OPERATOR, actor=OPERATOR)


_COMPENSATE = Verb("compensate", _cancel)
_REQUEST_AGAIN = Verb("request again", SagaState.on_request_again)
_RESOLVE = Verb("resolve by hand", SagaState.on_resolve)


def _act(verb: Verb, order_ids: Sequence[UUID], actor: str, reason: str, now: datetime | None) -> list[Result]:
    if not reason.strip():
        raise ReasonMissing("Say why: the reason is kept in the audit log and shown in the saga's history.")
    changes = Changes(now or timezone.now())
    results = {order_id: Result((str(order_id),), "unknown", "there is no such order") for order_id in order_ids}
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
        return Result(target, "unchanged", f"the saga is {before} already")
    return Result(target, "done", f"{before} → {row.state.saga_status}")


def _note(verb: Verb, actor: str, reason: str, results: Sequence[Result], now: datetime) -> None:
    rows = [{"order_id": each.target[0], "outcome": each.outcome, "detail": each.detail} for each in results]
    targets = [row["order_id"] for row in rows]
    OperatorAction.objects.create(actor=actor, verb=verb.name, reason=reason, targets=targets, results=rows, at=now)
