"""Locks, reads and writes the sagas of many orders, with one statement per table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from batchsql import IN_ORDER_GIVEN, execute, fetch, insert_rows, lock, update_rows
from money import stored
from order_app.domain import Draft, Line, OrderStatus, SagaState, SagaStatus, StepState, StepStatus

_LOCK_ORDERS = """
SELECT id, status, reason, user_id, coupon_id, total, discount, currency, created_at, confirmed_at, canceled_at
  FROM order_app_order WHERE id = ANY(%s::uuid[]) ORDER BY id FOR UPDATE
"""
_SAGAS = """
SELECT s.order_id, s.status, s.flagged, s.canceled_by, s.undo_asked_at, s.undo_next_at, s.undo_count, s.deadline,
       s.guard_offsets, s.created_event_id, s.canceled_event_id, s.finished_at,
       t.name, t.status, t.succeeded, t.attempts
  FROM order_app_saga s JOIN order_app_sagastep t ON t.saga_id = s.order_id
 WHERE s.order_id = ANY(%s::uuid[]) ORDER BY t.id
"""
_LINES = """
SELECT order_id, product_id, quantity, unit_price FROM order_app_orderline WHERE order_id = ANY(%s::uuid[]) ORDER BY id
"""

_STEP = {"saga_id": "uuid", "name": "text", "status": "text", "succeeded": "bool", "attempts": "int"}

_UPDATE_ORDERS = update_rows(
    "order_app_order",
    {
        "id": "uuid",
        "status": "text",
        "reason": "text",
        "discount": "numeric",
        "confirmed_at": "timestamptz",
        "canceled_at": "timestamptz",
    },
    key=["id"],
    also="updated_at = %s",
)
_UPDATE_SAGAS = update_rows(
    "order_app_saga",
    {
        "order_id": "uuid",
        "status": "text",
        "flagged": "bool",
        "canceled_by": "text",
        "undo_asked_at": "timestamptz",
        "undo_next_at": "timestamptz",
        "undo_count": "int",
        "finished_at": "timestamptz",
        "created_event_id": "text",
        "canceled_event_id": "text",
    },
    key=["order_id"],
)
_UPDATE_STEPS = update_rows("order_app_sagastep", _STEP, key=["saga_id", "name"])
_UPDATE_OFFSETS = update_rows("order_app_saga", {"order_id": "uuid", "guard_offsets": "jsonb"}, key=["order_id"])
_START_DEADLINES = update_rows(
    "order_app_saga", {"order_id": "uuid", "deadline": "timestamptz", "guard_offsets": "jsonb"}, key=["order_id"]
)
_INSERT_ORDERS = insert_rows(
    "order_app_order",
    {
        "id": "uuid",
        "user_id": "uuid",
        "status": "text",
        "total": "numeric",
        "currency": "text",
        "coupon_id": "uuid",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    },
    fixed={"reason": "''", "discount": "0"},
)
_INSERT_LINES = insert_rows(
    "order_app_orderline",
    {"order_id": "uuid", "product_id": "uuid", "quantity": "int", "unit_price": "numeric", "name": "text"},
    order_by=IN_ORDER_GIVEN,
)
_INSERT_SAGAS = insert_rows(
    "order_app_saga",
    {
        "order_id": "uuid",
        "status": "text",
        "deadline": "timestamptz",
        "created_event_id": "text",
        "created_at": "timestamptz",
    },
    fixed={"canceled_by": "''", "canceled_event_id": "''", "undo_count": "0", "flagged": "false"},
)
_INSERT_STEPS = insert_rows("order_app_sagastep", _STEP, order_by=IN_ORDER_GIVEN)

Row = tuple[Any, ...]


@dataclass
class SagaRow:
    """An order and its saga as stored, with the state that the domain changes."""

    state: SagaState
    order: Draft
    created_at: datetime
    deadline: datetime
    guard_offsets: dict[str, int] | None = None
    created_event_id: str = ""
    canceled_event_id: str = ""
    finished_at: datetime | None = None
    #: The order's status as stored, and when it was confirmed and canceled.
    stored_status: OrderStatus = OrderStatus.PENDING
    confirmed_at: datetime | None = None
    canceled_at: datetime | None = None
    read: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def id(self) -> UUID:
        """The order's id."""
        return self.state.order_id

    def note_time(self, now: datetime) -> None:
        """Keep `now` if the order was confirmed or canceled in this transaction."""
        status = self.state.order_status
        if status is OrderStatus.CONFIRMED and self.stored_status is OrderStatus.PENDING:
            self.confirmed_at = now
        elif status is OrderStatus.CANCELED and self.stored_status is not OrderStatus.CANCELED:
            self.canceled_at = now

    def columns(self) -> dict[str, list[Row]]:
        """Return the rows to write for this saga, by UPDATE statement."""
        state = self.state
        saga = (self.id, state.saga_status, state.flagged, state.canceled_by, state.undo_asked_at, state.undo_next_at)
        marks = (state.undo_count, self.finished_at, self.created_event_id, self.canceled_event_id)
        order = (self.id, state.order_status, state.reason, state.discount, self.confirmed_at, self.canceled_at)
        return {
            _UPDATE_ORDERS: [order],
            _UPDATE_SAGAS: [saga + marks],
            _UPDATE_STEPS: [(self.id, *step) for step in step_columns(state)],
        }


def step_columns(state: SagaState) -> list[Row]:
    """Return the columns of each step: name, status, succeeded, attempts."""
    return [(name, step.status, step.succeeded, step.attempts) for name, step in state.steps.items()]


def lock_sagas(order_ids: Iterable[UUID], *, skip_locked: bool = False) -> dict[UUID, SagaRow]:
    """Lock the orders in id order and return their sagas in that order, without unknown ids.

    With `skip_locked`, orders that another transaction has locked are left out too. The lines are not read.
    """
    ids = sorted(set(order_ids))
    orders = {order[0]: order for order in lock(_LOCK_ORDERS + (" SKIP LOCKED" if skip_locked else ""), ids)}
    sagas: dict[UUID, list[Row]] = {order_id: [] for order_id in orders}
    # A separate statement: it must see what was committed during the wait for the lock.
    for saga in fetch(_SAGAS, list(orders)):
        sagas[saga[0]].append(saga)
    return {order_id: _saga_row(orders[order_id], rows) for order_id, rows in sagas.items() if rows}


def _saga_row(order: Row, rows: Sequence[Row]) -> SagaRow:
    order_id, status, reason, user_id, coupon_id, total, discount, currency, created_at, *times = order
    _, saga_status, flagged, canceled_by, asked_at, next_at, count, deadline, offsets, *marks = rows[0][:12]
    state = SagaState(
        order_id=order_id,
        order_status=OrderStatus(status),
        saga_status=SagaStatus(saga_status),
        steps={row[12]: StepState(StepStatus(row[13]), row[14], row[15]) for row in rows},
        reason=reason,
        canceled_by=canceled_by,
        total=stored(total, currency),
        currency=currency,
        discount=stored(discount, currency),
        flagged=flagged,
        undo_asked_at=asked_at,
        undo_next_at=next_at,
        undo_count=count,
    )
    draft = Draft(user_id, (), coupon_id, stored(total, currency), currency)
    saga_row = SagaRow(state, draft, created_at, deadline, json.loads(offsets) if offsets else None, *marks)
    saga_row.stored_status = state.order_status
    saga_row.confirmed_at, saga_row.canceled_at = times
    saga_row.read = saga_row.columns()
    return saga_row


def read_lines(rows: Iterable[SagaRow]) -> dict[UUID, tuple[Line, ...]]:
    """Return the lines of each order. A new order has its lines in memory."""
    lines: dict[UUID, list[Line]] = {row.id: list(row.order.lines) for row in rows}
    currencies = {row.id: row.order.currency for row in rows}
    missing = [order_id for order_id, known in lines.items() if not known]
    for order_id, product_id, quantity, price in fetch(_LINES, missing) if missing else ():
        lines[order_id].append(Line(product_id, quantity, stored(price, currencies[order_id])))
    return {order_id: tuple(found) for order_id, found in lines.items()}


def insert_sagas(rows: Sequence[SagaRow]) -> None:
    """Write new orders with their lines, sagas and steps."""
    orders = [
        (r.id, r.order.user_id, r.state.order_status, r.order.total, r.order.currency, r.order.coupon_id)
        + (r.created_at, r.created_at)
        for r in rows
    ]
    lines = [(r.id, line.product_id, line.quantity, line.unit_price, line.name) for r in rows for line in r.order.lines]
    sagas = [(r.id, r.state.saga_status, r.deadline, r.created_event_id, r.created_at) for r in rows]
    steps = [(r.id, *step) for r in rows for step in step_columns(r.state)]
    execute(_INSERT_ORDERS, orders)
    execute(_INSERT_LINES, lines)
    execute(_INSERT_SAGAS, sagas)
    execute(_INSERT_STEPS, steps)


def update_sagas(rows: Iterable[SagaRow], now: datetime) -> None:
    """Write what changed since the sagas were read, at `now`. The caller must hold their locks."""
    changed: dict[str, list[Row]] = {_UPDATE_ORDERS: [], _UPDATE_SAGAS: [], _UPDATE_STEPS: []}
    for row in rows:
        for statement, columns in row.columns().items():
            before = row.read[statement]
            changed[statement] += [new for new, old in zip(columns, before, strict=True) if new != old]
    for statement, columns in changed.items():
        execute(statement, columns, *([now] if statement == _UPDATE_ORDERS else []))


def store_offsets(rows: Iterable[tuple[UUID, dict[str, int]]]) -> None:
    """Write the guard offsets of locked sagas (order id, offsets)."""
    execute(_UPDATE_OFFSETS, [(order_id, json.dumps(offsets)) for order_id, offsets in rows])


def start_deadlines(order_ids: Iterable[UUID], deadline: datetime) -> None:
    """Give locked sagas a new deadline, and no guard offsets: those of the one before are of no use."""
    execute(_START_DEADLINES, [(order_id, deadline, None) for order_id in order_ids])


def storable(text: str) -> str:
    """Return the text in a form that PostgreSQL can store: without NUL characters and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
