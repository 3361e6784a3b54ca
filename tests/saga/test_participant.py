"""The table by which every participant answers: cell by cell, and what must hold after any sequence of events."""

from __future__ import annotations

from itertools import product

import pytest

from saga.participant import CANNOT, DECISIONS, Answer, Cell, Decision, Effect, Incoming

# decision so far | OrderCreated | retries exhausted on it | OrderCanceled
TABLE = """
none           | HELD take TAKEN         | REFUSED REFUSED         | CANCELED_FIRST NOT_RESTORED
HELD           | HELD TAKEN              | HELD TAKEN              | RESTORED give_back RESTORED
REFUSED        | REFUSED REFUSED         | REFUSED REFUSED         | REFUSED NOT_RESTORED
CANCELED_FIRST | CANCELED_FIRST CANCELED | CANCELED_FIRST CANCELED | CANCELED_FIRST NOT_RESTORED
RESTORED       | RESTORED CANCELED       | RESTORED CANCELED       | RESTORED RESTORED
"""
ROWS = [[column.strip() for column in line.split("|")] for line in TABLE.strip().splitlines()]
#: Every event that asks for an answer; an OrderCreated is given once as one that can be done, once as one that can't.
EVENTS = [*Incoming, CANNOT]


def run(events: tuple[Incoming | Cell, ...]) -> tuple[list[Decision], list[Answer], list[Effect]]:
    """Return the decisions, answers and effects of one order's events, in the order given."""
    decision: Decision | None = None
    cells: list[Cell] = []
    for event in events:
        cell = DECISIONS[decision][Incoming.CREATED if isinstance(event, Cell) else event]
        cells.append(event if isinstance(event, Cell) and cell.effect is Effect.TAKE else cell)
        decision = cells[-1].decision
    return [cell.decision for cell in cells], [cell.answer for cell in cells], [cell.effect for cell in cells]


def test_the_table_has_a_cell_for_everything() -> None:
    assert set(DECISIONS) == {None, *Decision}
    assert all(set(row) == set(Incoming) for row in DECISIONS.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
@pytest.mark.parametrize("incoming", Incoming)
def test_each_cell_is_as_the_saga_says(row: list[str], incoming: Incoming) -> None:
    before = None if row[0] == "none" else Decision(row[0])
    after, *effect, answer = row[1 + list(Incoming).index(incoming)].split()

    expected = Cell(Decision(after), Answer[answer], Effect[effect[0].upper()] if effect else Effect.NOTHING)
    assert DECISIONS[before][incoming] == expected


def test_what_cannot_be_taken_is_refused_and_takes_nothing() -> None:
    assert Cell(Decision.REFUSED, Answer.REFUSED, Effect.NOTHING) == CANNOT


def test_every_decision_but_held_is_final() -> None:
    after = {before: {cell.decision for cell in row.values()} for before, row in DECISIONS.items() if before}

    assert after.pop(Decision.HELD) == {Decision.HELD, Decision.RESTORED}
    assert all(decisions == {before} for before, decisions in after.items())


def test_no_sequence_of_events_takes_twice_or_gives_back_what_was_not_taken() -> None:
    for events in product(EVENTS, repeat=5):
        decisions, _, effects = run(events)
        moves = [effect for effect in effects if effect is not Effect.NOTHING]

        assert moves in ([], [Effect.TAKE], [Effect.TAKE, Effect.GIVE_BACK]), events
        assert (moves == [Effect.TAKE]) is (decisions[-1] is Decision.HELD), events


def test_no_sequence_of_events_is_answered_with_a_contradiction() -> None:
    for events in product(EVENTS, repeat=5):
        _, answers, _ = run(events)

        assert not {Answer.TAKEN, Answer.REFUSED} <= set(answers), events
        assert not {Answer.RESTORED, Answer.NOT_RESTORED} <= set(answers), events


def test_every_cancel_is_answered_with_whether_something_was_given_back() -> None:
    for events in product(EVENTS, repeat=5):
        _, answers, effects = run(events)
        said = [answer for event, answer in zip(events, answers, strict=True) if event is Incoming.CANCELED]

        given_back = Effect.GIVE_BACK in effects
        assert set(said) <= {Answer.RESTORED if given_back else Answer.NOT_RESTORED}, events
