"""Collects what a transaction decided about its sagas, then publishes and writes all of it together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings

from batchsql import IN_ORDER_GIVEN, execute, insert_rows
from contracts.order import OrderCanceled, OrderConfirmed, OrderCreated, OrderLine
from messaging import Context, Event, publish_all
from order_app.domain import Entry, Line, Outcome, Publication, SagaStatus, UndoPolicy
from order_app.sql import SagaRow, insert_sagas, read_lines, storable, update_sagas

_INSERT_HISTORY = insert_rows(
    "order_app_sagahistory",
    {
        "order_id": "uuid",
        "at": "timestamptz",
        "step": "text",
        "from_status": "text",
        "to_status": "text",
        "event": "text",
        "event_id": "text",
        "headers": "jsonb",
        "data": "text",
        "actor": "text",
        "flagged": "bool",
        "note": "text",
    },
    order_by=IN_ORDER_GIVEN,
)


class Cause(NamedTuple):
    """An event of the order service that caused another one, where no answer did."""

    event_id: str
    correlation_id: str


@dataclass
class Noted:
    """A history row to write. `publication` is the index of its event in the list of published events."""

    row: SagaRow
    entry: Entry
    actor: str
    note: str
    context: Context | None
    publication: int | None


@dataclass
class Changes:
    """The outcomes of one transaction. Every saga in it is locked or new."""

    now: datetime
    noted: list[Noted] = field(default_factory=list)
    publications: list[tuple[SagaRow, Publication, Context | Cause | None]] = field(default_factory=list)
    touched: dict[UUID, SagaRow] = field(default_factory=dict)

    def add(
        self, row: SagaRow, outcome: Outcome, *, actor: str, context: Context | None = None, note: str = ""
    ) -> None:
        """Add what the domain decided. `context` is the answer that caused it, if any."""
        self.touched[row.id] = row
        row.note_time(self.now)
        places: dict[Publication | None, int] = {}
        for publication in outcome.publish:
            places[publication] = len(self.publications)
            self.publications.append((row, publication, context or _first(row, publication)))
        for entry in outcome.entries:
            self.noted.append(Noted(row, entry, actor, note, context, places.get(entry.event)))
        if any(not entry.step for entry in outcome.entries):
            row.state.schedule_undo(now=self.now, policy=undo_policy())
            ended = row.state.saga_status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED)
            row.finished_at = self.now if ended else None

    def insert(self) -> None:
        """Write new orders; publish and record what was decided about them."""
        ids = self._publish()
        insert_sagas(list(self.touched.values()))
        self._insert_history(ids)

    def update(self) -> None:
        """Write what changed in locked sagas; publish and record it."""
        ids = self._publish()
        update_sagas(self.touched.values(), self.now)
        self._insert_history(ids)

    def _publish(self) -> list[str]:
        if not self.publications:
            return []
        lines = read_lines({row.id: row for row, _, _ in self.publications}.values())
        events = [(_EVENTS[kind](row, lines[row.id]), cause) for row, kind, cause in self.publications]
        ids = publish_all(events)
        for (row, kind, _), event_id in zip(self.publications, ids, strict=True):
            if kind is Publication.CREATED:
                row.created_event_id = row.created_event_id or event_id
            elif kind is Publication.CANCELED:
                row.canceled_event_id = row.canceled_event_id or event_id
        return ids

    def _insert_history(self, ids: list[str]) -> None:
        execute(_INSERT_HISTORY, [self._history_row(noted, ids) for noted in self.noted])

    def _history_row(self, noted: Noted, ids: list[str]) -> tuple[object, ...]:
        entry, context = noted.entry, noted.context
        event, event_id, headers, data = entry.event or "", "", "{}", ""
        if noted.publication is not None:
            event_id = ids[noted.publication]
        elif context:
            event, event_id, data = context.type, context.event_id, storable(context.data.decode(errors="replace"))
            headers = _headers(context)
        where = (noted.row.id, self.now, entry.step, entry.from_status, entry.to_status)
        return (*where, event, event_id, headers, data, noted.actor, entry.flagged, noted.note)


def undo_policy() -> UndoPolicy:
    """Return the configured policy for repeated undo requests."""
    return UndoPolicy(
        first=timedelta(seconds=settings.SAGA_UNDO_RETRY_SECONDS),
        cap=timedelta(seconds=settings.SAGA_UNDO_RETRY_CAP_SECONDS),
        budget=timedelta(seconds=settings.SAGA_UNDO_BUDGET_SECONDS),
    )


def _first(row: SagaRow, publication: Publication) -> Cause | None:
    """Return the first event of this kind: it is the cause of each repeated one. None for the first itself."""
    ids = {Publication.CREATED: row.created_event_id, Publication.CANCELED: row.canceled_event_id}
    event_id = ids.get(publication)
    return Cause(event_id, correlation_id=str(row.id)) if event_id else None


def _headers(context: Context) -> str:
    return msgspec.json.encode({storable(name): storable(value) for name, value in context.headers.items()}).decode()


def _order_lines(lines: tuple[Line, ...]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(product_id=x.product_id, quantity=x.quantity, unit_price=x.unit_price) for x in lines)


def _created(row: SagaRow, lines: tuple[Line, ...]) -> Event:
    return OrderCreated(
        order_id=row.id,
        user_id=row.order.user_id,
        lines=_order_lines(lines),
        coupon_id=row.order.coupon_id,
        total=row.order.total,
        currency=row.order.currency,
        created_at=row.created_at,
    )


def _confirmed(row: SagaRow, lines: tuple[Line, ...]) -> Event:
    return OrderConfirmed(
        order_id=row.id,
        user_id=row.order.user_id,
        lines=_order_lines(lines),
        total=row.order.total,
        discount=row.state.discount,
        currency=row.order.currency,
    )


def _canceled(row: SagaRow, lines: tuple[Line, ...]) -> Event:
    return OrderCanceled(
        order_id=row.id,
        user_id=row.order.user_id,
        lines=_order_lines(lines),
        coupon_id=row.order.coupon_id,
        reason=row.state.reason,
        actor=row.state.canceled_by,
    )


_EVENTS: dict[Publication, Callable[[SagaRow, tuple[Line, ...]], Event]] = {
    Publication.CREATED: _created,
    Publication.CONFIRMED: _confirmed,
    Publication.CANCELED: _canceled,
}
