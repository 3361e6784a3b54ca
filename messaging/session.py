"""What our database sessions need, whatever the role's defaults: READ COMMITTED, and time limits in order.

The library's locks rest on READ COMMITTED: what is read after a lock is what was committed before it (models/consumer).
The limits keep a locked row from stopping a service, and a frozen worker from holding its locks for long:
lock_timeout < statement_timeout < idle_in_transaction_session_timeout < the consumer's session timeout. A role's own
limits win while they are in order; else each new connection sets ours. That costs one statement a connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection as default_connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from messaging.conf import conf

ISOLATION = "read committed"
#: The limits that we set, in the order that they need, as shares of the consumer's session timeout.
SHARES = {"lock_timeout": 0.3, "statement_timeout": 0.8, "idle_in_transaction_session_timeout": 0.9}

#: Materialized: else each limit would be judged by those that the statement has set already.
_PREPARE = """
WITH role AS MATERIALIZED (
    SELECT '0' < lock AND lock < statement AND statement < idle AS in_order
      FROM (SELECT current_setting('lock_timeout')::interval AS lock,
                   current_setting('statement_timeout')::interval AS statement,
                   current_setting('idle_in_transaction_session_timeout')::interval AS idle) AS limits
)
SELECT set_config('default_transaction_isolation', %s, false),
       CASE WHEN NOT in_order THEN set_config('lock_timeout', %s, false) END,
       CASE WHEN NOT in_order THEN set_config('statement_timeout', %s, false) END,
       CASE WHEN NOT in_order THEN set_config('idle_in_transaction_session_timeout', %s, false) END
  FROM role
"""
#: What a new session of the role begins with, before we set anything; times in milliseconds.
_DEFAULTS = "SELECT current_user, (SELECT json_object_agg(name, reset_val) FROM pg_settings WHERE name = ANY(%s))"


def connect() -> None:
    """Have every new connection of Django prepared."""
    connection_created.connect(_prepare, dispatch_uid="messaging.session")


def own_limits() -> dict[str, int]:
    """Return the limits that our connections set when the role's are not in order, in milliseconds."""
    timeout = conf().session_timeout_ms
    return {name: int(timeout * share) for name, share in SHARES.items()}


def _prepare(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Set what the session needs. A connection that cannot be prepared is closed, and the error passes."""
    if connection.vendor != "postgresql":
        return
    try:
        with connection.wrap_database_errors, connection.connection.cursor() as cursor:
            prepare(cursor)
    except Exception:
        connection.close()
        raise


def prepare(cursor: Any) -> None:
    """Set what a session needs, where its role's defaults do not fit."""
    cursor.execute(_PREPARE, [ISOLATION, *(f"{limit}ms" for limit in own_limits().values())])


@dataclass(frozen=True, slots=True)
class RoleProblem:
    """What is wrong with a role's defaults, and what helps."""

    message: str
    hint: str


def role_problems() -> list[RoleProblem]:
    """Return what is wrong with the defaults of the role that we are connected as."""
    with default_connection.cursor() as cursor:
        cursor.execute(_DEFAULTS, [[*SHARES, "default_transaction_isolation"]])
        role, defaults = cursor.fetchone()
    found = [_isolation_problem(role, defaults["default_transaction_isolation"])]
    found.append(_limits_problem(role, [int(defaults[name]) for name in SHARES]))
    return [problem for problem in found if problem]


def _isolation_problem(role: str, isolation: str) -> RoleProblem | None:
    if isolation == ISOLATION:
        return None
    return RoleProblem(
        f"the role {role} has default_transaction_isolation = {isolation!r}; our sessions set {ISOLATION!r}, but behind"
        " a pooler that shares connections among transactions that may be lost",
        f"ALTER ROLE {role} SET default_transaction_isolation = '{ISOLATION}';",
    )


def _limits_problem(role: str, limits: list[int]) -> RoleProblem | None:
    timeout = conf().session_timeout_ms
    if 0 < limits[0] < limits[1] < limits[2] < timeout:
        return None
    values = ", ".join(f"{name} = {limit} ms" for name, limit in zip(SHARES, limits, strict=True))
    return RoleProblem(
        f"the role {role} has {values} (0: none). Needed: 0 < lock_timeout < statement_timeout <"
        f" idle_in_transaction_session_timeout < {timeout} ms, the consumer's session timeout. Unless the first three"
        " are in order, our sessions set limits of their own",
        " ".join(f"ALTER ROLE {role} SET {name} = '{limit}ms';" for name, limit in own_limits().items()),
    )
