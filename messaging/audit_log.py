"""The audit log of operators' actions: actor, verb, reason, targets, results (promise P9). Append-only."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from psycopg2.extras import Json

from messaging.database import storable
from messaging.errors import MessagingError

#: An event at a handler: (event id, handler name).
Target = tuple[str, str]

MAX_ACTOR = 150
#: What a row keeps of each result.
RESULT_FIELDS = ("event_id", "handler", "outcome", "detail")

_INSERT = """
INSERT INTO messaging_operator_action (at, actor, verb, reason, targets, results) VALUES (now(), %s, %s, %s, %s, %s)
"""


class ReasonMissing(MessagingError):
    """An operator's action needs a reason: the audit log stores it."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The result of an operator's action for one target; `detail` explains it.

    `target` is what the action was asked about: (event id, handler) for an event at a handler, ("", name) for a handler
    or topic, and what a service's own actions take, such as (order id,).
    `outcome`: done; unchanged (nothing to do); refused; unknown (no such target); failed (the database could not do it
    now).
    """

    target: tuple[str, ...]
    outcome: str
    detail: str = ""

    @property
    def event_id(self) -> str:
        """The event, of a target that is one at a handler."""
        return self.target[0]

    @property
    def handler(self) -> str:
        """The handler or the topic."""
        return self.target[1]


def check_reason(reason: str) -> None:
    """Raise ReasonMissing when there is no reason."""
    if not reason.strip():
        raise ReasonMissing("Give a reason: the audit log stores it.")


def write(verb: str, actor: str, reason: str, results: Sequence[ActionResult]) -> None:
    """Write an action and its results to the audit log, in the open transaction."""
    texts = [{name: storable(getattr(result, name)) for name in RESULT_FIELDS} for result in results]
    targets = [[each["event_id"], each["handler"]] for each in texts]
    values = [storable(actor)[:MAX_ACTOR], verb, storable(reason.strip()), Json(targets), Json(texts)]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)


def record_action(verb: str, results: Sequence[ActionResult], *, reason: str, actor: str = "") -> None:
    """Write what an operator did to the audit log of this service, in the open transaction.

    `actor` is by default the login name of this process. ReasonMissing without a reason.
    """
    check_reason(reason)
    write(verb, actor or login_name(), reason, results)


def login_name() -> str:
    """Return who runs this process: the login name, or the number of a user without one, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
