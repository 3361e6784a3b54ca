"""The text of statements that write a batch. Its rows are the table `t`; the stored rows are called `stored`.

`columns` names the columns of the batch with their PostgreSQL types, in the order of the rows' values:
`{"order_id": "uuid", "decision": "text"}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Columns = Mapping[str, str]

#: For `order_by`: insert the rows in the order of the batch, so that the database's serial ids follow it.
IN_ORDER_GIVEN = "t.n"


def insert_rows(
    table: str, columns: Columns, *, fixed: Mapping[str, str] | None = None, order_by: str = "", then: str = ""
) -> str:
    """Return an INSERT of the batch's rows.

    `fixed` gives further columns one expression for all rows; a `%s` in it is a parameter that precedes the rows.
    `order_by` sorts the rows: two transactions that insert the same keys in different orders can deadlock. `then` is
    the end of the statement: ON CONFLICT, RETURNING.
    """
    fixed = fixed or {}
    return _clauses(
        f"INSERT INTO {table} AS stored ({_listed(columns, fixed)})",
        f"SELECT {_listed(columns, fixed.values())}",
        f"  FROM {_batch(columns, numbered=order_by == IN_ORDER_GIVEN)}",
        order_by and f" ORDER BY {order_by}",
        then,
    )


def update_rows(table: str, columns: Columns, *, key: Sequence[str], also: str = "") -> str:
    """Return an UPDATE of the rows whose `key` columns equal those of a row of the batch.

    `also` sets further columns (`at = %s`); a `%s` in it is a parameter that precedes the rows.
    """
    changes = [f"{name} = t.{name}" for name in columns if name not in key]
    return _clauses(
        f"UPDATE {table} AS stored",
        f"   SET {_listed(changes, [also] if also else [])}",
        f"  FROM {_batch(columns)}",
        f" WHERE {' AND '.join(f'stored.{name} = t.{name}' for name in key)}",
    )


def keep_newest(table: str, columns: Columns) -> str:
    """Return an INSERT for local copies: it writes a row unless the same or a newer version is stored.

    The first of `columns` is the key, the second the version.
    """
    key, version, *_ = columns
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns if name != key)
    newer = f"ON CONFLICT ({key}) DO UPDATE SET {changes} WHERE stored.{version} < EXCLUDED.{version}"
    return insert_rows(table, columns, order_by=key, then=newer)


def _batch(columns: Columns, *, numbered: bool = False) -> str:
    arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
    ordinality, n = (" WITH ORDINALITY", ["n"]) if numbered else ("", [])
    return f"unnest({arrays}){ordinality} AS t({_listed(columns, n)})"


def _listed(*names: object) -> str:
    return ", ".join(name for each in names for name in each)  # type: ignore[attr-defined]


def _clauses(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
