"""The coordinator's decisions as data; `saga.py` only looks them up.

A model checker checked them with the participants' tables, in all states. Change the model first, then these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from order_app.domain.states import Command, Kind, SagaStatus, StepStatus


class Then(StrEnum):
    """What follows a step's change for the whole saga."""

    NOTHING = ""
    CONFIRM = "confirm when every step is DONE or SKIPPED"
    CANCEL = "cancel with the answer's reason"
    FINISH = "COMPENSATED when no step is UNDOING or WAIVED"


@dataclass(frozen=True)
class Cell:
    """One decision: the step's new status (None: it stays), what follows, and what the history shows."""

    to: StepStatus | None = None
    then: Then = Then.NOTHING
    record: bool = True
    flag: bool = False


NOTHING = Cell(record=False)
RECORD = Cell()
FLAG = Cell(flag=True)
"""A flag marks what correct services never cause: a foreign or forged event, or a restored database."""

ANSWERS: dict[tuple[StepStatus, Kind], Cell] = {
    (StepStatus.PENDING, Kind.SUCCESS): Cell(to=StepStatus.DONE, then=Then.CONFIRM),
    (StepStatus.PENDING, Kind.FAILURE): Cell(to=StepStatus.FAILED, then=Then.CANCEL),
    (StepStatus.PENDING, Kind.RESTORED): FLAG,
    (StepStatus.DONE, Kind.SUCCESS): NOTHING,
    (StepStatus.DONE, Kind.FAILURE): FLAG,
    (StepStatus.DONE, Kind.RESTORED): FLAG,
    (StepStatus.SKIPPED, Kind.SUCCESS): FLAG,
    (StepStatus.SKIPPED, Kind.FAILURE): FLAG,
    (StepStatus.SKIPPED, Kind.RESTORED): FLAG,
    (StepStatus.UNDOING, Kind.SUCCESS): RECORD,
    (StepStatus.UNDOING, Kind.FAILURE): RECORD,
    (StepStatus.UNDOING, Kind.RESTORED): Cell(to=StepStatus.UNDONE, then=Then.FINISH),
    (StepStatus.WAIVED, Kind.SUCCESS): RECORD,
    (StepStatus.WAIVED, Kind.FAILURE): RECORD,
    (StepStatus.WAIVED, Kind.RESTORED): Cell(to=StepStatus.UNDONE, then=Then.FINISH),
    (StepStatus.UNDONE, Kind.SUCCESS): RECORD,
    (StepStatus.UNDONE, Kind.FAILURE): RECORD,
    (StepStatus.UNDONE, Kind.RESTORED): RECORD,
}


class Action(StrEnum):
    """What a command does to a saga."""

    CANCEL = "cancel"
    ACCEPT = "accepted, changes nothing"
    IGNORE = "-"
    STICK = "COMPENSATION_STUCK: an alarm, not a stop"
    UNDO_AGAIN = "OrderCanceled again"
    REQUEST_AGAIN = "OrderCreated again, while a step is PENDING"
    BY_HAND = "UNDOING steps WAIVED, BY_HAND"
    REFUSE = "refused"


COMMANDS: dict[tuple[SagaStatus, Command], Action] = {
    (SagaStatus.RUNNING, Command.CANCEL): Action.CANCEL,
    (SagaStatus.RUNNING, Command.DEADLINE): Action.CANCEL,
    (SagaStatus.RUNNING, Command.BUDGET_SPENT): Action.IGNORE,
    (SagaStatus.RUNNING, Command.UNDO_AGAIN): Action.IGNORE,
    (SagaStatus.RUNNING, Command.REQUEST_AGAIN): Action.REQUEST_AGAIN,
    (SagaStatus.RUNNING, Command.RESOLVE): Action.REFUSE,
    (SagaStatus.COMPLETED, Command.CANCEL): Action.CANCEL,
    (SagaStatus.COMPLETED, Command.DEADLINE): Action.IGNORE,
    (SagaStatus.COMPLETED, Command.BUDGET_SPENT): Action.IGNORE,
    (SagaStatus.COMPLETED, Command.UNDO_AGAIN): Action.IGNORE,
    (SagaStatus.COMPLETED, Command.REQUEST_AGAIN): Action.REFUSE,
    (SagaStatus.COMPLETED, Command.RESOLVE): Action.REFUSE,
    (SagaStatus.COMPENSATING, Command.CANCEL): Action.ACCEPT,
    (SagaStatus.COMPENSATING, Command.DEADLINE): Action.IGNORE,
    (SagaStatus.COMPENSATING, Command.BUDGET_SPENT): Action.STICK,
    (SagaStatus.COMPENSATING, Command.UNDO_AGAIN): Action.UNDO_AGAIN,
    (SagaStatus.COMPENSATING, Command.REQUEST_AGAIN): Action.REFUSE,
    (SagaStatus.COMPENSATING, Command.RESOLVE): Action.REFUSE,
    (SagaStatus.STUCK, Command.CANCEL): Action.ACCEPT,
    (SagaStatus.STUCK, Command.DEADLINE): Action.IGNORE,
    (SagaStatus.STUCK, Command.BUDGET_SPENT): Action.IGNORE,
    (SagaStatus.STUCK, Command.UNDO_AGAIN): Action.UNDO_AGAIN,
    (SagaStatus.STUCK, Command.REQUEST_AGAIN): Action.REFUSE,
    (SagaStatus.STUCK, Command.RESOLVE): Action.BY_HAND,
    (SagaStatus.BY_HAND, Command.CANCEL): Action.ACCEPT,
    (SagaStatus.BY_HAND, Command.DEADLINE): Action.IGNORE,
    (SagaStatus.BY_HAND, Command.BUDGET_SPENT): Action.IGNORE,
    (SagaStatus.BY_HAND, Command.UNDO_AGAIN): Action.UNDO_AGAIN,
    (SagaStatus.BY_HAND, Command.REQUEST_AGAIN): Action.REFUSE,
    (SagaStatus.BY_HAND, Command.RESOLVE): Action.REFUSE,
    (SagaStatus.COMPENSATED, Command.CANCEL): Action.ACCEPT,
    (SagaStatus.COMPENSATED, Command.DEADLINE): Action.IGNORE,
    (SagaStatus.COMPENSATED, Command.BUDGET_SPENT): Action.IGNORE,
    (SagaStatus.COMPENSATED, Command.UNDO_AGAIN): Action.IGNORE,
    (SagaStatus.COMPENSATED, Command.REQUEST_AGAIN): Action.REFUSE,
    (SagaStatus.COMPENSATED, Command.RESOLVE): Action.REFUSE,
}
