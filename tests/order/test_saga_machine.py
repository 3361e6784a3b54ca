"""Coordinator and participants together, in any interleaving: the saga's invariants hold in every state.

hypothesis plays the network, the timers, the customers and the operators; each service decides by its own tables.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from order_app.domain import OrderStatus, Publication, SagaStatus, StepStatus
from tests.order.world import HOLDS, NOW, POLICY, Place, World

ORDERS = st.integers(0, 1)
STEPS = st.sampled_from(["stock", "coupon"])
PLACES = st.tuples(ORDERS, STEPS)


class SagaMachine(RuleBasedStateMachine):
    """Two orders want the same stock and the same coupon."""

    @initialize(stock=st.integers(0, 2), coupons=st.tuples(st.booleans(), st.booleans()))
    def begin(self, stock: int, coupons: tuple[bool, bool]) -> None:
        self.world = World(stock, coupons)

    @rule(place=PLACES)
    def a_participant_handles_its_next_request(self, place: Place) -> None:
        if self.world.requests[place]:
            self.world.participate(place, self.world.requests[place].pop(0))

    @rule(place=PLACES)
    def the_coordinator_handles_its_next_answer(self, place: Place) -> None:
        if self.world.answers[place]:
            self.world.coordinate(place, self.world.answers[place].pop(0))

    @rule(place=PLACES)
    def attempts_at_a_request_run_out(self, place: Place) -> None:
        if Publication.CREATED in self.world.requests[place][:1]:
            self.world.participate(place, self.world.requests[place].pop(0), exhausted=True)

    @rule(place=PLACES, event=st.sampled_from([Publication.CREATED, Publication.CANCELED]), exhausted=st.booleans())
    def a_participant_handles_a_request_again(self, place: Place, event: str, exhausted: bool) -> None:
        if event in self.world.handled[place]:
            self.world.participate(place, event, exhausted=exhausted)

    @rule(place=PLACES, pick=st.integers(0, 50))
    def the_coordinator_handles_an_answer_again(self, place: Place, pick: int) -> None:
        heard = self.world.heard[place]
        if heard:
            self.world.coordinate(place, heard[pick % len(heard)])

    @rule(number=ORDERS)
    def an_operator_edits_a_dead_request_to_two_pieces(self, number: int) -> None:
        if self.world.requests[number, "stock"]:
            self.world.participate((number, "stock"), self.world.requests[number, "stock"].pop(0), pieces=2)

    @rule(place=PLACES)
    def an_operator_skips_a_dead_request(self, place: Place) -> None:
        if self.world.requests[place]:
            self.world.handled[place].add(self.world.requests[place].pop(0))

    @rule(place=PLACES)
    def an_operator_skips_a_dead_answer(self, place: Place) -> None:
        if self.world.answers[place]:
            self.world.heard[place].append(self.world.answers[place].pop(0))

    @rule(number=ORDERS)
    def someone_cancels(self, number: int) -> None:
        self.world.publish(number, self.world.sagas[number].on_cancel(reason="someone", actor="someone"))

    @rule(number=ORDERS)
    def the_deadline_passes(self, number: int) -> None:
        self.world.publish(number, self.world.sagas[number].on_deadline(HOLDS))

    @rule(number=ORDERS, spent=st.booleans())
    def the_undo_is_asked_for_again(self, number: int, spent: bool) -> None:
        now = NOW + POLICY.budget if spent else NOW
        self.world.publish(number, self.world.sagas[number].on_undo_due(now=now, policy=POLICY))

    @rule(number=ORDERS)
    def an_operator_sends_the_request_again(self, number: int) -> None:
        self.world.publish(number, self.world.sagas[number].on_request_again())

    @rule(number=ORDERS)
    def an_operator_resolves_by_hand(self, number: int) -> None:
        self.world.publish(number, self.world.sagas[number].on_resolve())

    @precondition(lambda self: not self.world.busy())
    @rule()
    def all_is_quiet(self) -> None:
        self.world.rest()
        self.world.check_at_rest()

    @invariant()
    def the_invariants_hold(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    @invariant()
    def the_states_of_order_saga_and_steps_agree(self) -> None:
        if not hasattr(self, "world"):
            return
        for saga in self.world.sagas:
            found = {step.status for step in saga.steps.values()} - {StepStatus.SKIPPED}
            statuses, order = ALLOWED[saga.saga_status]
            assert found <= statuses
            assert saga.order_status is order

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.rest()
        self.world.check()
        self.world.check_at_rest()
        replay_everything(self.world)


P, D, U, N, W = StepStatus.PENDING, StepStatus.DONE, StepStatus.UNDOING, StepStatus.UNDONE, StepStatus.WAIVED
ALLOWED = {
    SagaStatus.RUNNING: ({P, D}, OrderStatus.PENDING),
    SagaStatus.COMPLETED: ({D}, OrderStatus.CONFIRMED),
    SagaStatus.COMPENSATING: ({U, N}, OrderStatus.CANCELED),
    SagaStatus.STUCK: ({U, N}, OrderStatus.CANCELED),
    SagaStatus.BY_HAND: ({W, N}, OrderStatus.CANCELED),
    SagaStatus.COMPENSATED: ({N}, OrderStatus.CANCELED),
}


def replay_everything(world: World) -> None:
    """Assert invariant 8: replays of all that was ever consumed, on any side, change and publish nothing."""
    rows, published = world.domain_rows(), world.published_by_coordinator
    for place, events in list(world.handled.items()):
        for event in sorted(events):
            world.participate(place, event)
            world.participate(place, event, exhausted=event == Publication.CREATED)
    for place, answers in list(world.heard.items()):
        for answer in [*answers, *world.answers[place]]:
            world.coordinate(place, answer)
    assert world.domain_rows() == rows, "8: a replay changes no row"
    assert world.published_by_coordinator == published, "8: a replay publishes nothing"


SagaMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", "300")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestSagaMachine = SagaMachine.TestCase
