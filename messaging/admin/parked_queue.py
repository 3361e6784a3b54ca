"""The queue of a key as a table, in the order in which it takes effect."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from messaging.admin.rendering import nothing, shortened, table
from messaging.audit_log import Target
from messaging.models import InboxRow
from messaging.operations.selectors import queue_of
from messaging.states import InboxState

#: Rows of a queue that a page shows.
SHOWN = 100

TITLES = (_("event"), _("handler"), _("offset"), _("state"), _("attempts"), _("next attempt"), _("error"))


def queue_table(topic: str, key: str, mark: Target | None = None) -> SafeString:
    """Return the queue as a table, one target of it in bold; how many more there are below it."""
    queue = queue_of(topic, key).defer("raw")
    count = queue.count()
    if not count:
        return format_html("{}", _("No event of this key waits."))
    rows = [_row(row, row.target == mark) for row in queue[:SHOWN]]
    more = _("and %(count)s more") % {"count": count - SHOWN} if count > SHOWN else ""
    return format_html("{}<p>{}</p>", table(TITLES, rows), more)


def _row(row: InboxRow, marked: bool) -> list[Any]:
    event = format_html("<strong>{}</strong>", row.event_id) if marked else row.event_id
    state = row.get_state_display()
    return [event, row.handler, row.offset, state, row.attempts, next_attempt(row), shortened(row.error or "")]


def next_attempt(row: InboxRow) -> Any:
    """Return when the event is tried next, in words where no time is known."""
    if row.state == InboxState.DEAD:
        return _("waits for an operator")
    return moment(row.next_attempt_at) if row.attempts else _("after the events before it")


def moment(at: datetime | None) -> Any:
    """Return a time with its zone."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else nothing()
