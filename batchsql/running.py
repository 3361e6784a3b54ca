"""Runs statements over a batch. Rows are plain tuples; ids may be UUIDs or text."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db import connection

from messaging import TransactionRequired

Row = tuple[Any, ...]


def execute(statement: str, rows: Collection[Row], *before: Any) -> None:
    """Run a statement over the rows; without rows, do nothing. `before`: the parameters that precede the rows."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, [*before, *map(_ids_as_text, zip(*rows, strict=True))])


def execute_newest(statement: str, rows: Iterable[Row]) -> None:
    """Run a statement of keep_newest() over the rows (key, version, …).

    One statement cannot write a row twice, so it gets only the newest version of each key in the batch.
    """
    newest: dict[Any, Row] = {}
    for row in rows:
        if row[0] not in newest or newest[row[0]][1] < row[1]:
            newest[row[0]] = row
    execute(statement, newest.values())


def fetch(statement: str, *parameters: Any) -> list[Row]:
    """Return what a SELECT finds. Ids in a list are given as text: write `= ANY(%s::uuid[])`."""
    with connection.cursor() as cursor:
        cursor.execute(statement, [_ids_as_text(each) for each in parameters])
        found: list[Row] = cursor.fetchall()
    return found


def lock(statement: str, *parameters: Any) -> list[Row]:
    """Return the rows that a SELECT … FOR UPDATE locks, until the transaction ends. TransactionRequired without one."""
    if not connection.in_atomic_block:
        raise TransactionRequired(
            "outside a transaction a lock ends with its statement; use `with transaction.atomic(): …`"
        )
    return fetch(statement, *parameters)


def insert_new(statement: str, rows: Collection[Row], *before: Any) -> list[Row]:
    """Run an INSERT … RETURNING over the rows and return its result. It locks the new rows as lock() does."""
    return lock(statement, *before, *zip(*rows, strict=True)) if rows else []


def _ids_as_text(parameter: Any) -> Any:
    # psycopg2 is fastest with a list of text: it adapts each UUID in Python code.
    if isinstance(parameter, str | bytes) or not isinstance(parameter, Collection):
        return parameter
    return [str(each) if isinstance(each, UUID) else each for each in parameter]
