"""The order service's rules, in plain Python.

`steps` is the table of the saga's steps. `tables` has the coordinator's decisions, and `saga` applies them. `drafts`
has the rules of an order's lines and prices.
"""

from order_app.domain import steps
from order_app.domain.drafts import (
    MAX_LINES,
    Draft,
    Line,
    LineRequest,
    OrderRefused,
    OrderRequest,
    PriceChanged,
    Product,
    draft_order,
)
from order_app.domain.saga import (
    UNDO_IS_ASKED,
    Answer,
    Entry,
    Guard,
    Outcome,
    SagaState,
    StepState,
    UndoPolicy,
    start_saga,
)
from order_app.domain.states import Command, Kind, OrderStatus, Publication, SagaStatus, StepStatus
from order_app.domain.steps import Step, answer_topics, answers_by_type
from order_app.domain.tables import ANSWERS, COMMANDS, Action, Cell, Then

__all__ = [
    # Orders
    "OrderStatus",
    "OrderRequest",
    "LineRequest",
    "Product",
    "Draft",
    "Line",
    "OrderRefused",
    "PriceChanged",
    "draft_order",
    "MAX_LINES",
    # The saga's table
    "steps",
    "Step",
    "StepStatus",
    "SagaStatus",
    "Kind",
    "Command",
    "ANSWERS",
    "COMMANDS",
    "Action",
    "Cell",
    "Then",
    "answers_by_type",
    "answer_topics",
    # The coordinator
    "SagaState",
    "StepState",
    "Answer",
    "Guard",
    "UndoPolicy",
    "UNDO_IS_ASKED",
    "Outcome",
    "Publication",
    "Entry",
    "start_saga",
]
