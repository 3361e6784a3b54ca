"""The text of the statements that write a batch."""

from __future__ import annotations

from batchsql import IN_ORDER_GIVEN, insert_rows, keep_newest, update_rows

STOCK = {"id": "uuid", "quantity": "bigint"}


def test_an_insert_names_its_columns_once_and_takes_one_array_for_each() -> None:
    assert insert_rows("stock", STOCK) == (
        "INSERT INTO stock AS stored (id, quantity)\n"
        "SELECT id, quantity\n"
        "  FROM unnest(%s::uuid[], %s::bigint[]) AS t(id, quantity)"
    )


def test_a_fixed_column_is_a_parameter_before_the_rows_or_an_expression() -> None:
    statement = insert_rows("stock", STOCK, fixed={"note": "''", "at": "%s"}, order_by="id", then="RETURNING id")

    assert statement == (
        "INSERT INTO stock AS stored (id, quantity, note, at)\n"
        "SELECT id, quantity, '', %s\n"
        "  FROM unnest(%s::uuid[], %s::bigint[]) AS t(id, quantity)\n"
        " ORDER BY id\n"
        "RETURNING id"
    )


def test_rows_in_the_order_given_are_numbered_by_the_database_and_sorted_by_that() -> None:
    statement = insert_rows("stock", STOCK, order_by=IN_ORDER_GIVEN)

    assert statement.endswith("WITH ORDINALITY AS t(id, quantity, n)\n ORDER BY t.n")
    assert "SELECT id, quantity\n" in statement


def test_an_update_sets_every_column_but_the_key() -> None:
    assert update_rows("stock", STOCK, key=["id"], also="at = %s") == (
        "UPDATE stock AS stored\n"
        "   SET quantity = t.quantity, at = %s\n"
        "  FROM unnest(%s::uuid[], %s::bigint[]) AS t(id, quantity)\n"
        " WHERE stored.id = t.id"
    )


def test_a_key_of_two_columns_compares_both() -> None:
    statement = update_rows("step", {"saga_id": "uuid", "name": "text", "status": "text"}, key=["saga_id", "name"])

    assert "SET status = t.status\n" in statement
    assert statement.endswith("WHERE stored.saga_id = t.saga_id AND stored.name = t.name")


def test_a_copy_is_written_only_over_an_older_version() -> None:
    statement = keep_newest("copy", {"user_id": "uuid", "version": "bigint", "active": "bool"})

    assert statement.endswith(
        " ORDER BY user_id\n"
        "ON CONFLICT (user_id) DO UPDATE SET version = EXCLUDED.version, active = EXCLUDED.active"
        " WHERE stored.version < EXCLUDED.version"
    )
