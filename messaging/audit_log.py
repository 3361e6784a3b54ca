"""The ledger of what operators did: who, what, why, to which, with what result (promise P9). Append-only."""

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
    """An operator's action needs a reason: it is kept in the ledger."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What became of one target of an operator's action; `detail` says why, for people.

    `outcome`: done; unchanged, when there was nothing left to do; refused; unknown, when there is no such event;
    failed, when the database could not do it now.
    """

    event_id: str
    handler: str
    outcome: str
    detail: str = ""


def check_reason(reason: str) -> None:
    """Raise ReasonMissing when there is no reason."""
    if not reason.strip():
        raise ReasonMissing("Say why: the reason is kept in the ledger.")


def note(verb: str, actor: str, reason: str, results: Sequence[ActionResult]) -> None:
    """Write an action and its results into the ledger, in the open transaction."""
    told = [{name: storable(text) for name, text in asdict(result).items()} for result in results]
    targets = [[each["event_id"], each["handler"]] for each in told]
    values = [storable(actor)[:MAX_ACTOR], verb, storable(reason.strip()), Json(targets), Json(told)]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
