"""A small world without a database: two orders with their coordinators, both participants by their own tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from coupon_app import domain as coupon
from coupon_app.campaigns import Terms
from order_app.domain import (
    Answer,
    Draft,
    Guard,
    Kind,
    Line,
    OrderStatus,
    Outcome,
    Publication,
    SagaState,
    SagaStatus,
    StepStatus,
    UndoPolicy,
    start_saga,
    steps,
)
from product_app import domain as product
from saga.participant import Incoming

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = UndoPolicy(timedelta(seconds=1), timedelta(seconds=1), timedelta(seconds=10))
HOLDS = Guard(
    deadline_passed=True, end_offsets_passed=True, outbox_empty=True, nothing_unhandled=True, request_read=True
)
TEA, COUPON, USER = uuid4(), uuid4(), uuid4()
STEPS = {step.name: step for step in steps.STEPS}
KINDS = {
    "TAKEN": Kind.SUCCESS,
    "REFUSED": Kind.FAILURE,
    "CANCELED": Kind.FAILURE,
    "RESTORED": Kind.RESTORED,
    "NOT_RESTORED": Kind.RESTORED,
}

Place = tuple[int, str]


@dataclass
class World:
    """`requests` and `answers` are what travels, per order and step; `heard` and `handled` are what may be replayed."""

    stock: int
    coupons: tuple[bool, bool]
    sagas: list[SagaState] = field(default_factory=list)
    requests: dict[Place, list[Publication]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[Place, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    handled: dict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    heard: dict[Place, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    said: dict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    taken: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    given_back: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    ended: set[int] = field(default_factory=set)
    published_by_coordinator: int = 0

    def __post_init__(self) -> None:
        year = timedelta(days=365)
        terms = Terms("percent", Decimal(10), None, Decimal(0), NOW - year, NOW + year)
        self.shelf = {TEA: product.Stock("tea", self.stock)}
        self.coupon = coupon.Coupon(USER, None, terms)
        self.holds = [product.OrderDecision() for _ in self.coupons]
        self.uses = [coupon.OrderDecision(COUPON) for _ in self.coupons]
        for number, has_coupon in enumerate(self.coupons):
            draft = Draft(USER, (Line(TEA, 1, Decimal(5)),), COUPON if has_coupon else None, Decimal(5), "USD")
            state, outcome = start_saga(uuid4(), draft)
            self.sagas.append(state)
            self.publish(number, outcome)

    def decision(self, number: int, step: str) -> str | None:
        """Return the decision row of the participant that does `step` for an order."""
        return (self.holds if step == "stock" else self.uses)[number].decision

    def publish(self, number: int, outcome: Outcome) -> None:
        """Bring what the coordinator published to the participants, and note what became of the saga."""
        saga = self.sagas[number]
        self.published_by_coordinator += len(outcome.publish)
        for name, step in saga.steps.items():
            if step.status is not StepStatus.SKIPPED:
                wanted = [event for event in outcome.publish if event != Publication.CONFIRMED]
                self.requests[number, name] += wanted
        if any(not entry.step for entry in outcome.entries):
            saga.schedule_undo(now=NOW, policy=POLICY)

    def participate(self, place: Place, event: Publication, *, exhausted: bool = False, pieces: int = 1) -> None:
        """Let the participant at `place` handle a request, and answer it; an operator may have edited its `pieces`."""
        number, step = place
        held = self.decision(number, step) == "HELD"
        incoming = "CANCELED" if event == Publication.CANCELED else "EXHAUSTED" if exhausted else "CREATED"
        stock = step == "stock"
        answer = self._ask_product(number, incoming, pieces) if stock else self._ask_coupon(number, incoming)
        assert event != Publication.CANCELED or answer.kind is Kind.RESTORED, "5: every OrderCanceled is answered"
        self.taken[place] += not held and self.decision(number, step) == "HELD"
        self.given_back[place] += held and self.decision(number, step) != "HELD"
        self.handled[place].add(event)
        self.said[place].add(f"{answer.kind} {answer.reason}{answer.restored if answer.kind == 'restored' else ''}")
        self.answers[place].append(answer)

    def _ask_product(self, number: int, incoming: str, pieces: int) -> Answer:
        order = self.holds[number]
        request = product.Request(Incoming[incoming], self.sagas[number].order_id, ((TEA, pieces),))
        said = product.answer(request, order, self.shelf).name
        return self._answer("stock", said, order.refusal.reason if order.refusal else "")

    def _ask_coupon(self, number: int, incoming: str) -> Answer:
        order, use = self.uses[number], coupon.Use(USER, Decimal(5), "USD", NOW)
        request = coupon.Request(Incoming[incoming], self.sagas[number].order_id, COUPON, use)
        said = coupon.answer(request, order, {COUPON: self.coupon}).name
        return self._answer("coupon", said, order.reason or "")

    def _answer(self, step: str, said: str, reason: str) -> Answer:
        kind = KINDS[said]
        why = "order_canceled" if said == "CANCELED" else reason if kind is Kind.FAILURE else ""
        return Answer(STEPS[step], kind, reason=str(why), restored=said == "RESTORED")

    def coordinate(self, place: Place, answer: Answer) -> None:
        """Let the coordinator handle an answer."""
        number, _ = place
        self.heard[place].append(answer)
        self.publish(number, self.sagas[number].on_answer(answer))

    def busy(self) -> list[Place]:
        """Return where something travels."""
        return [place for place in [*self.requests, *self.answers] if self.requests[place] or self.answers[place]]

    def move(self, place: Place) -> None:
        """Handle what comes next at `place`, the answers first."""
        if self.answers[place]:
            self.coordinate(place, self.answers[place].pop(0))
        elif self.requests[place]:
            self.participate(place, self.requests[place].pop(0))

    def rest(self) -> None:
        """Let everything run until all is quiet and every saga has ended, as timers and an honest network do."""
        for _ in range(200):
            for place in self.busy():
                self.move(place)
            for number, saga in enumerate(self.sagas):
                if saga.saga_status is SagaStatus.RUNNING:
                    self.publish(number, saga.on_deadline(HOLDS))
                elif not self.busy():
                    self.publish(number, saga.on_undo_due(now=NOW, policy=POLICY))
            if not self.busy():
                return
        raise AssertionError("the world does not come to rest")

    def domain_rows(self) -> tuple[object, ...]:
        """Return everything that a replay must not change."""
        sagas = [
            (
                saga.order_status,
                saga.saga_status,
                saga.reason,
                saga.discount,
                saga.flagged,
                {name: (step.status, step.succeeded, step.attempts) for name, step in saga.steps.items()},
            )
            for saga in self.sagas
        ]
        decisions = [(str(hold.decision), str(use.decision)) for hold, use in zip(self.holds, self.uses, strict=True)]
        return (sagas, decisions, self.shelf[TEA].quantity, self.coupon.order_id)

    def check(self) -> None:
        """Assert every invariant of the saga's specification, §3."""
        for number, saga in enumerate(self.sagas):
            self._check_saga(number, saga)
            for step in saga.steps:
                self._check_participant((number, step))
        held = sum(sum(hold.holds.values()) for hold in self.holds if hold.decision == "HELD")
        assert self.shelf[TEA].quantity + held == self.stock, "3: stock now + holds = received"
        users = [self.sagas[number].order_id for number, use in enumerate(self.uses) if use.decision == "HELD"]
        assert users == ([self.coupon.order_id] if self.coupon.order_id else []), "3: a coupon has one live order"

    def _check_saga(self, number: int, saga: SagaState) -> None:
        decisions = {name: self.decision(number, name) for name in saga.steps}
        wanted = [name for name, step in saga.steps.items() if step.status is not StepStatus.SKIPPED]
        if saga.saga_status is SagaStatus.COMPENSATED:
            self.ended.add(number)
            assert "HELD" not in decisions.values(), "1: nothing is held when COMPENSATED"
        if saga.order_status is OrderStatus.CONFIRMED:
            assert all(decisions[name] == "HELD" for name in wanted), "2: CONFIRMED means that every step holds"
        if number in self.ended:
            assert saga.saga_status is SagaStatus.COMPENSATED, "7: COMPENSATED is final"
            assert saga.order_status is OrderStatus.CANCELED, "7: CANCELED is final"
        assert not saga.flagged, "9: nothing is flagged among honest parties"

    def _check_participant(self, place: Place) -> None:
        said = self.said[place]
        failed = {text for text in said if text.startswith("failure") and text != "failure order_canceled"}
        assert not (failed and any(text.startswith("success") for text in said)), "4: both success and failure"
        assert not {"restored True", "restored False"} <= said, "4: restored both true and false"
        assert self.taken[place] <= 1, "6: taken at most once"
        assert self.given_back[place] <= self.taken[place], "6: given back at most what was taken"

    def check_at_rest(self) -> None:
        """Assert what holds once all is quiet: every saga has ended, every undo was answered."""
        for number, saga in enumerate(self.sagas):
            assert saga.saga_status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED), "6 of the promises: it ends"
            for name in saga.steps:
                held = self.decision(number, name) == "HELD"
                confirmed = saga.order_status is OrderStatus.CONFIRMED and saga.steps[name].status is StepStatus.DONE
                assert held == confirmed, "3: at rest, held exactly for confirmed orders"
                if Publication.CANCELED in self.handled[number, name]:
                    assert any(text.startswith("restored") for text in self.said[number, name]), "5: answered"
