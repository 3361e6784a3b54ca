"""The page of the saga: its steps, its states, and the tables by which coordinator and participants decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from docs.generate.markdown import code, first_paragraph, mermaid, page, section, table
from docs.generate.saga_states import Transition, transitions
from order_app.domain import ANSWERS, COMMANDS, Cell, Command, Kind, Publication, SagaStatus, Step, StepStatus, steps
from saga.participant import CANNOT, DECISIONS, Effect, Incoming
from saga.participant import Answer as ParticipantAnswer
from saga.participant import Cell as ParticipantCell
from user_app import domain as user

INITIAL = {"order": "PENDING", "saga": "RUNNING", "step": "PENDING"}
FINAL = {"order": "CANCELED", "saga": "COMPENSATED", "step": "UNDONE"}


def saga_page() -> str:
    """Return docs/reference/saga.md."""
    found = transitions()
    return page(
        "The saga",
        "Every diagram and table of this page is read from the domain code: steps from `order_app/domain/steps.py`, "
        "the coordinator's decisions from `order_app/domain/tables.py`, the participants' from `saga/participant.py`. "
        "The arrows are those that appear when every answer and every command is tried in every state.",
        section("Steps", _steps_table()),
        section("An order from start to end", sequence_diagram()),
        section("States", *(_states(kind, found) for kind in ("order", "saga", "step"))),
        section("What the coordinator does", _answers_table(), _commands_table()),
        section("What the participants answer", *_participants()),
        section("The purchase history of the user service", _purchases_table()),
    )


def sequence_diagram() -> str:
    """Return the saga as a sequence diagram: all goes well, and one step fails."""
    services = list(dict.fromkeys(step.service for step in steps.STEPS))
    lines = ["sequenceDiagram", "    actor customer", "    participant order"]
    lines += [f"    participant {service}" for service in services]
    lines += ["    customer->>order: POST /orders", "    order-->>customer: 202, PENDING"]
    lines += _asks(services, "OrderCreated")
    lines += ["    alt every step succeeds", *_answers(lambda step: _name(step.succeeds))]
    lines += ["    Note over order: CONFIRMED, publishes OrderConfirmed"]
    lines += ["    else a step fails, a cancel, or the deadline"]
    lines += _answers(lambda step: f"{_name(step.succeeds)} or {_name(step.fails)}")
    lines += ["    Note over order: CANCELED, compensation begins"]
    lines += [f"    {line.strip()}" for line in _asks(services, "OrderCanceled")]
    lines += [*_answers(lambda step: _name(step.undone)), "    Note over order: COMPENSATED", "    end"]
    return mermaid(lines)


def _asks(services: Iterable[str], event: str) -> list[str]:
    return [f"    order->>{service}: {event}" for service in services]


def _answers(name: Any) -> list[str]:
    return [f"    {step.service}->>order: {name(step)}" for step in steps.STEPS]


def _name(event_type: str) -> str:
    return event_type.split(".")[1]


def _steps_table() -> str:
    heads = ("step", "done by", "answers on", "succeeds", "fails", "undone", "skipped")
    rows = [
        (step.name, step.service, code(step.topic), *(code(each) for each in _types(step)), _skipped(step))
        for step in steps.STEPS
    ]
    asked = f"`{Publication.CREATED}` asks for every step, `{Publication.CANCELED}` asks to undo it."
    return f"{asked}\n\n{table(heads, rows)}"


def _types(step: Step) -> tuple[str, str, str]:
    return step.succeeds, step.fails, step.undone


def _skipped(step: Step) -> str:
    return first_paragraph(step.skipped_when.__doc__).rstrip(".").lower()


def _states(kind: str, found: Iterable[Transition]) -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    for transition in found:
        if transition.of == kind:
            causes = arrows.setdefault((transition.source, transition.target), [])
            causes += [] if transition.cause in causes else [transition.cause]
    lines = ["stateDiagram-v2", f"    [*] --> {INITIAL[kind]}"]
    if kind == "step":
        lines.append("    [*] --> SKIPPED: not needed")
    lines += [f"    {source} --> {target}: {', '.join(causes)}" for (source, target), causes in arrows.items()]
    lines.append(f"    {FINAL[kind]} --> [*]")
    return section(f"Of the {kind}", mermaid(lines), level=3)


def _answers_table() -> str:
    rows = [(status, *(_cell(ANSWERS[status, kind]) for kind in Kind)) for status in StepStatus if _reached(status)]
    words = (
        "One row per state of the step. *record*: one history row, nothing else. *flag*: record, and show it to the "
        "operators; no honest run reaches a flag. An answer for an unknown order is a dead letter."
    )
    return section("With an answer", words, table(("step", *Kind), rows), level=3)


def _reached(status: StepStatus) -> bool:
    return (status, Kind.SUCCESS) in ANSWERS


def _cell(cell: Cell) -> str:
    if cell.to is None:
        return "flag" if cell.flag else "record" if cell.record else "nothing"
    return f"→ {cell.to}; {cell.then}" if cell.then else f"→ {cell.to}"


def _commands_table() -> str:
    rows = [(status, *(COMMANDS[status, command] for command in Command)) for status in SagaStatus]
    return section("With a command", "One row per state of the saga.", table(("saga", *Command), rows), level=3)


def _participants() -> list[str]:
    words = (
        "A participant keeps one decision row per order. Every decision but HELD is final. The answer is always a "
        "function of that row, so the order of arrival, repetitions and replays make no difference. "
        "Every participant decides by the same "
        "table, `saga/participant.py`; only the names of its events differ."
    )
    return [words, *(section(step.service, _decisions(step), level=3) for step in steps.STEPS)]


def _decisions(step: Step) -> str:
    rows = [
        (str(decision or "none"), *(_participant_cell(step, cells[each]) for each in Incoming))
        for decision, cells in DECISIONS.items()
    ]
    heads = ("decision", *Incoming)
    return f"{table(heads, rows)}\n\nWhen it cannot be taken: {_participant_cell(step, CANNOT)}."


def _participant_cell(step: Step, cell: ParticipantCell) -> str:
    effect = "" if cell.effect is Effect.NOTHING else f"{cell.effect}; "
    return f"{cell.decision}: {effect}{_answer(step, cell.answer)}"


def _answer(step: Step, answer: ParticipantAnswer) -> str:
    """Return the participant's answer with the name of the step's own event."""
    succeeds, fails, undone = (_name(each) for each in _types(step))
    names = {"success": succeeds, "failure": fails, "restored": undone}
    kind = next(kind for kind in names if answer.startswith(kind))
    return f"{names[kind]}{answer.removeprefix(kind)}"


def _purchases_table() -> str:
    states = [None, *user.PurchaseState]
    rows = [(str(state or "none"), *(user.NEXT_STATE[state, ending] for ending in user.Ending)) for state in states]
    return table(("purchase", *(f"order {ending.lower()}" for ending in user.Ending)), rows)
