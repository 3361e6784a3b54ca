"""What operators may do to sagas. Each call is one row in the ledger: who, what, why, to which, with what result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from order_app.domain import Outcome, SagaState, SagaStatus
from order_app.models import OperatorAction
from order_app.saga_changes import Changes
from order_app.sql import SagaRow, lock_sagas

BY_OPERATOR = "canceled_by_operator"
#: How an operator appears in events, which others may read; only our own history and ledger have the name.
OPERATOR = "operator"


class ReasonMissing(ValueError):
    """An operator's action needs a reason; type one."""


@dataclass(frozen=True)
class Result:
    """What became of one target. `outcome`: done, unchanged, refused or unknown; `detail` says why, for people."""

    order_id: UUID
    outcome: str
    detail: str = ""


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
        raise ReasonMissing("Say why: the reason is kept in the ledger and shown in the saga's history.")
    changes = Changes(now or timezone.now())
    results = {order_id: Result(order_id, "unknown", "there is no such order") for order_id in order_ids}
    for row in lock_sagas(order_ids).values():
        before = row.state.saga_status
        outcome = verb.decide(row.state)
        changes.add(row, outcome, actor=f"{OPERATOR}:{actor}", note=reason)
        results[row.id] = _result(row, before, outcome)
    changes.update()
    _note(verb, actor, reason, list(results.values()), changes.now)
    return list(results.values())


def _result(row: SagaRow, before: SagaStatus, outcome: Outcome) -> Result:
    if outcome.refused:
        return Result(row.id, "refused", outcome.refused)
    if not outcome.changed:
        return Result(row.id, "unchanged", f"the saga is {before} already")
    return Result(row.id, "done", f"{before} → {row.state.saga_status}")


def _note(verb: Verb, actor: str, reason: str, results: Sequence[Result], now: datetime) -> None:
    OperatorAction.objects.create(
        actor=actor,
        verb=verb.name,
        reason=reason,
        targets=[str(result.order_id) for result in results],
        results=[
            {"order_id": str(result.order_id), "outcome": result.outcome, "detail": result.detail} for result in results
        ],
        at=now,
    )
