"""The audit log of operators' actions: actor, verb, reason, targets, results (promise P9). Append-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from django.db import connection
from psycopg2.extras import Json

from messaging.database import storable
from messaging.errors import MessagingError

#: An event at a handler: (event id, handler name).
Target = tuple[str, str]

MAX_ACTOR = 150

_INSERT = """
INSERT INTO messaging_operator_action (at, actor, verb, reason, targets, results) VALUES (now(), %s, %s, %s, %s, %s)
"""


class ReasonMissing(MessagingError):
    """An operator's action needs a reason: the audit log stores it."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The result of an operator's action for one target; `detail` explains it.

    `outcome`: done; unchanged (nothing to do); refused; unknown (no such event); failed (the database could not do it
    now).
    """

    event_id: str
    handler: str
    outcome: str
    detail: str = ""


def check_reason(reason: str) -> None:
    """Raise ReasonMissing when there is no reason."""
    if not reason.strip():
        raise ReasonMissing("Give a reason: the audit log stores it.")


def note(verb: str, actor: str, reason: str, results: Sequence[ActionResult]) -> None:
    """Write an action and its results to the audit log, in the open transaction."""
    texts = [{name: storable(text) for name, text in asdict(result).items()} for result in results]
    targets = [[each["event_id"], each["handler"]] for each in texts]
    values = [storable(actor)[:MAX_ACTOR], verb, storable(reason.strip()), Json(targets), Json(texts)]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
