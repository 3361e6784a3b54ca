"""The coordinator of one order: it decides by the tables, changes the state, and returns what to publish."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from money import fits
from order_app.domain import steps
from order_app.domain.drafts import Draft
from order_app.domain.states import Command, Kind, OrderStatus, Publication, SagaStatus, StepStatus
from order_app.domain.steps import Step
from order_app.domain.tables import ANSWERS, COMMANDS, FLAG, Action, Cell, Then

UNDO_IS_ASKED = frozenset({SagaStatus.COMPENSATING, SagaStatus.STUCK, SagaStatus.BY_HAND})


@dataclass(frozen=True)
class Answer:
    """A participant's answer. `restored` belongs to a restore, `reason` to a failure. `attempts`: how many it took."""

    step: Step
    kind: Kind
    reason: str = ""
    restored: bool = False
    discount: Decimal | None = None
    attempts: int = 1


@dataclass(frozen=True)
class Guard:
    """Whether a deadline may cancel a saga. The order service's own backlog must never cancel one."""

    deadline_passed: bool
    end_offsets_passed: bool
    outbox_empty: bool
    nothing_unhandled: bool
    request_read: bool

    @property
    def holds(self) -> bool:
        """Whether the participants could answer in time, and every answer until the deadline was handled."""
        parts = (self.deadline_passed, self.end_offsets_passed, self.outbox_empty, self.nothing_unhandled)
        return all(parts) and self.request_read


@dataclass(frozen=True)
class UndoPolicy:
    """When undo requests are sent again: first delay, longest delay, and the budget after which a saga is stuck."""

    first: timedelta
    cap: timedelta
    budget: timedelta

    def wait(self, *, asked: int, at_cap: bool) -> timedelta:
        """Return the delay before the next request, after `asked` repeated requests."""
        doublings = min(asked, 32)
        return self.cap if at_cap else min(self.first * 2**doublings, self.cap)


@dataclass
class StepState:
    """One step of one order. `succeeded`: it succeeded at least once. `attempts`: the most that an answer needed."""

    status: StepStatus
    succeeded: bool = False
    attempts: int = 0


@dataclass(frozen=True)
class Entry:
    """One row of the history. `step` is empty for the saga itself. `event` is empty if the current answer caused it."""

    step: str
    from_status: str
    to_status: str
    event: Publication | None = None
    flagged: bool = False


@dataclass
class Outcome:
    """What one call decided. `publish`: what to publish, in order. `refused`: for people, why nothing was done."""

    entries: list[Entry] = field(default_factory=list)
    publish: list[Publication] = field(default_factory=list)
    refused: str = ""

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.entries or self.publish)


@dataclass
class SagaState:
    """An order's saga in memory. Every method acts on it and returns what to record and publish."""

    order_id: UUID
    order_status: OrderStatus
    saga_status: SagaStatus
    steps: dict[str, StepState]
    reason: str = ""
    canceled_by: str = ""
    total: Decimal = Decimal(0)
    currency: str = ""
    discount: Decimal = Decimal(0)
    flagged: bool = False
    undo_asked_at: datetime | None = None
    undo_next_at: datetime | None = None
    undo_count: int = 0

    def on_answer(self, answer: Answer) -> Outcome:
        """Apply a participant's answer."""
        step = self.steps.get(answer.step.name)
        before = step.status if step else StepStatus.SKIPPED
        cell = self._cell(before, answer)
        outcome = Outcome()
        if cell.record:
            flag = cell.flag or self._contradicts(answer, cell.then)
            self.flagged = self.flagged or flag
            outcome.entries.append(Entry(answer.step.name, before, cell.to or before, flagged=flag))
        if step and answer.kind is Kind.SUCCESS and before is not StepStatus.UNDONE:
            # The restore that is still missing needs it. After the restore, a replay must change no row.
            step.succeeded = True
        if step and cell.to:
            step.status, step.attempts = cell.to, max(step.attempts, answer.attempts)
            self._follow(cell.then, answer, outcome)
        return outcome

    def on_cancel(self, *, reason: str, actor: str) -> Outcome:
        """Cancel for a customer or an operator. No effect if the order is already canceled."""
        outcome = Outcome()
        if self._action(Command.CANCEL) is Action.CANCEL:
            self._cancel(reason, actor, outcome)
        return outcome

    def on_deadline(self, guard: Guard) -> Outcome:
        """Cancel a saga that is late, if the guard holds."""
        outcome = Outcome()
        if guard.holds and self._action(Command.DEADLINE) is Action.CANCEL:
            self._cancel("deadline_passed", "deadline", outcome)
        return outcome

    def on_undo_due(self, *, now: datetime, policy: UndoPolicy, outbox_empty: bool = True) -> Outcome:
        """Mark the saga stuck when its budget is spent. Repeat the undo request, unless the last is in the outbox."""
        outcome = Outcome()
        spent = self.undo_asked_at is not None and now >= self.undo_asked_at + policy.budget
        if spent and self._action(Command.BUDGET_SPENT) is Action.STICK:
            self._saga_to(SagaStatus.STUCK, outcome)
        if outbox_empty and self._action(Command.UNDO_AGAIN) is Action.UNDO_AGAIN:
            self.undo_count += 1
            outcome.publish.append(Publication.CANCELED)
            outcome.entries.append(Entry("", self.saga_status, self.saga_status, event=Publication.CANCELED))
        return outcome

    def on_request_again(self) -> Outcome:
        """Publish OrderCreated again. The participants answer from their stored decisions."""
        if self._action(Command.REQUEST_AGAIN) is not Action.REQUEST_AGAIN or not self._any(StepStatus.PENDING):
            refused = "only a RUNNING saga with a PENDING step can be requested again"
            return Outcome(refused=f"the saga is {self.saga_status}: {refused}")
        entry = Entry("", self.saga_status, self.saga_status, event=Publication.CREATED)
        return Outcome(entries=[entry], publish=[Publication.CREATED])

    def on_resolve(self) -> Outcome:
        """Mark the missing undo answers as waived by an operator. The undo requests continue."""
        if self._action(Command.RESOLVE) is not Action.BY_HAND:
            refused = f"only a {SagaStatus.STUCK} saga can be resolved by hand"
            return Outcome(refused=f"the saga is {self.saga_status}: {refused}")
        outcome = Outcome()
        for name, step in self.steps.items():
            if step.status is StepStatus.UNDOING:
                self._step_to(name, StepStatus.WAIVED, outcome)
        self._saga_to(SagaStatus.BY_HAND, outcome)
        return outcome

    def schedule_undo(self, *, now: datetime, policy: UndoPolicy) -> None:
        """Set when the next undo request is due: at the latest when the budget ends."""
        if self.saga_status not in UNDO_IS_ASKED:
            self.undo_next_at = None
            return
        self.undo_asked_at = self.undo_asked_at or now
        at_cap = self.saga_status is not SagaStatus.COMPENSATING
        self.undo_next_at = now + policy.wait(asked=self.undo_count, at_cap=at_cap)
        if not at_cap:
            self.undo_next_at = min(self.undo_next_at, self.undo_asked_at + policy.budget)

    def _cell(self, before: StepStatus, answer: Answer) -> Cell:
        cell = ANSWERS[before, answer.kind]
        # This is no failure: the participant holds something. The deadline or an operator decides.
        return FLAG if cell.then is Then.CONFIRM and not self._can_be_given(answer.discount) else cell

    def _can_be_given(self, discount: Decimal | None) -> bool:
        possible = discount is None or (discount.is_finite() and 0 <= discount <= self.total)
        return possible and (discount is None or fits(discount, self.currency))

    def _contradicts(self, answer: Answer, then: Then) -> bool:
        step = self.steps.get(answer.step.name)
        return then is Then.FINISH and not answer.restored and step is not None and step.succeeded

    def _follow(self, then: Then, answer: Answer, outcome: Outcome) -> None:
        if then is Then.CANCEL:
            self._cancel(answer.reason, answer.step.service, outcome)
        elif then is Then.CONFIRM:
            self.discount = self.discount if answer.discount is None else answer.discount
            if self._all_in(StepStatus.DONE, StepStatus.SKIPPED):
                self.order_status = OrderStatus.CONFIRMED
                self._saga_to(SagaStatus.COMPLETED, outcome, event=Publication.CONFIRMED)
                outcome.publish.append(Publication.CONFIRMED)
        elif not self._any(StepStatus.UNDOING) and not self._any(StepStatus.WAIVED):
            self._saga_to(SagaStatus.COMPENSATED, outcome)

    def _cancel(self, reason: str, actor: str, outcome: Outcome) -> None:
        self.order_status, self.reason, self.canceled_by = OrderStatus.CANCELED, reason, actor
        self._saga_to(SagaStatus.COMPENSATING, outcome, event=Publication.CANCELED)
        for name, step in self.steps.items():
            if step.status is not StepStatus.SKIPPED:
                self._step_to(name, StepStatus.UNDOING, outcome, event=Publication.CANCELED)
        outcome.publish.append(Publication.CANCELED)
        if not self._any(StepStatus.UNDOING):
            self._saga_to(SagaStatus.COMPENSATED, outcome)

    def _saga_to(self, status: SagaStatus, outcome: Outcome, event: Publication | None = None) -> None:
        outcome.entries.append(Entry("", self.saga_status, status, event=event))
        self.saga_status = status

    def _step_to(self, name: str, status: StepStatus, outcome: Outcome, event: Publication | None = None) -> None:
        outcome.entries.append(Entry(name, self.steps[name].status, status, event=event))
        self.steps[name].status = status

    def _action(self, command: Command) -> Action:
        return COMMANDS[self.saga_status, command]

    def _any(self, status: StepStatus) -> bool:
        return any(step.status is status for step in self.steps.values())

    def _all_in(self, *statuses: StepStatus) -> bool:
        return all(step.status in statuses for step in self.steps.values())


def start_saga(order_id: UUID, draft: Draft) -> tuple[SagaState, Outcome]:
    """Return the saga of a new order, and what to record and publish."""
    states = {
        step.name: StepState(StepStatus.SKIPPED if step.skipped_when(draft) else StepStatus.PENDING)
        for step in steps.STEPS
    }
    state = SagaState(order_id, OrderStatus.PENDING, SagaStatus.RUNNING, states)
    state.total, state.currency = draft.total, draft.currency
    entry = Entry("", "", SagaStatus.RUNNING, event=Publication.CREATED)
    return state, Outcome(entries=[entry], publish=[Publication.CREATED])
