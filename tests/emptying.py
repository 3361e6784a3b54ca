"""Empties the tables that a transactional test wrote to, and no others.

Django would empty every table and then emit `post_migrate`, which makes content types and permissions again: that took
longer than most tests. Here a table counts as written to when its file is not empty, so that even rows that were
deleted or rolled back leave no trace. Content types and permissions stay while they are as the migrations left them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, transaction
from django.test import TransactionTestCase

#: What `post_migrate` fills.
KEPT = ("contenttypes.ContentType", "auth.Permission")
WRITTEN = "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relkind = 'r' AND pg_relation_size(oid) > 0"
REFERENCES = """
    SELECT referenced.relname, referring.relname
    FROM pg_constraint JOIN pg_class referenced ON referenced.oid = confrelid
        JOIN pg_class referring ON referring.oid = conrelid
    WHERE contype = 'f'
"""
FINGERPRINT = "SELECT md5(string_agg(row::text, ';' ORDER BY row::text)) FROM {} AS row"


class Emptying:
    """Empties the test database, which is now as the migrations left it."""

    def __init__(self) -> None:
        allow_truncate()
        self._kept = {apps.get_model(name)._meta.db_table for name in KEPT if apps.is_installed(_app_of(name))}
        self.remember()
        self._referring: dict[str, set[str]] = {}
        for referenced, referring in _rows(REFERENCES):
            self._referring.setdefault(referenced, set()).add(referring)

    def remember(self) -> None:
        """Note what content types and permissions are like now."""
        self._as_migrated = self._fingerprints()

    def empty(self) -> bool:
        """Empty what was written to; False, and nothing is done, when that would take `post_migrate` too."""
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        written = {name for [name] in _rows(WRITTEN, [tables])} - self._kept
        emptied = self._with_referring(written)
        if emptied & self._kept or self._fingerprints() != self._as_migrated:
            return False
        if emptied:
            with transaction.atomic():
                connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), sorted(emptied)))
        return True

    def _with_referring(self, tables: set[str]) -> set[str]:
        """Return the tables and those with foreign keys to them: PostgreSQL empties them together or not at all."""
        more = {referring for table in tables for referring in self._referring.get(table, ())} - tables
        return self._with_referring(tables | more) if more else tables

    def _fingerprints(self) -> list[Any]:
        return [_rows(FINGERPRINT.format(connection.ops.quote_name(table))) for table in sorted(self._kept)]


def allow_truncate() -> None:
    """Let this database's tables be emptied: the triggers that keep the ledgers from it are tested one by one."""
    found = _rows(
        "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE tgname LIKE %s",
        ["%no_truncate"],
    )
    with connection.cursor() as cursor:
        for name, table in found:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")


def _app_of(model: str) -> str:
    return f"django.contrib.{model.partition('.')[0]}"


def _rows(query: str, parameters: Iterable[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def install() -> None:
    """Let transactional tests end so. To be called when the test database is made, before any test."""
    emptying, django_does = Emptying(), TransactionTestCase._fixture_teardown

    def tear_down(case: TransactionTestCase) -> None:
        if case.available_apps is not None or case.serialized_rollback or not emptying.empty():
            django_does(case)
            emptying.remember()

    TransactionTestCase._fixture_teardown = tear_down  # type: ignore[method-assign]
